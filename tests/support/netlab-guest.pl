# Plays a guest's network card: joins a host's tap to a device eth0 inside a guest's namespace by copying frames, as QEMU
# would. Perl, because it is on every Debian and can open taps; setns() is left to nsenter, which inherits the open tap.
#
# Usage (in the host's namespace): netlab-guest.pl TAP GUEST_NAMESPACE
use strict;
use warnings;

use constant TUNSETIFF => 0x400454ca;
# Tap, no packet information, virtio header: what QEMU asks for.
use constant FLAGS => 0x0002 | 0x1000 | 0x4000;

sub open_tap {
    my ($name) = @_;
    local $^F = 255;    # survive exec
    open(my $tap, '+<', '/dev/net/tun') or die "/dev/net/tun: $!";
    my $request = pack('a16 S x22', $name, FLAGS);
    ioctl($tap, TUNSETIFF, $request) or die "$name: $!";
    return $tap;
}

if ($ARGV[0] ne '--inside') {
    my ($name, $namespace) = @ARGV;
    my $tap = open_tap($name);
    exec('nsenter', "--net=/run/netns/$namespace", '--', $^X, $0, '--inside', fileno($tap));
}

open(my $host, '+<&=', $ARGV[1]) or die "inherited tap: $!";
my $card = open_tap('eth0');
my %peer = (fileno($host) => $card, fileno($card) => $host);
my $both = '';
vec($both, $_, 1) = 1 for keys %peer;
while (1) {
    select(my $ready = $both, undef, undef, undef) > 0 or next;
    for my $from ($host, $card) {
        next unless vec($ready, fileno($from), 1);
        # A card that is down refuses frames; so does a real one.
        my $frame = '';
        syswrite($peer{fileno($from)}, $frame) if sysread($from, $frame, 70000);
    }
}
