# The first process of a lab machine, in namespaces of its own: makes it look like a machine, then reaps.
# Arguments: host name, `attached` or `detached`. Attached, the machine ends when standard input does: whoever
# started it has died. Says `ready` when it is.
use strict;
use POSIX ();
my ($name, $mode) = @ARGV;
sub must { system(@_) == 0 or die "@_ failed\n" }
must('mount', '--make-rprivate', '/');
must('mount', '-t', 'tmpfs', 'lab', '/run');
mkdir '/run/netns';
# As a fresh Debian has them.
mkdir '/run/lock';
must('mount', '-t', 'sysfs', 'sysfs', '/sys');
must('hostname', $name);
# As Debian's installer writes it: without, libvirt asks a DNS that is not there for the name at each start of a domain.
open my $hosts, '>', '/run/hosts' or die "hosts: $!";
print $hosts "127.0.0.1 localhost\n127.0.1.1 $name\n";
close $hosts;
must('mount', '--bind', '/run/hosts', '/etc/hosts');
must('ip', 'link', 'set', 'lo', 'up');
POSIX::setsid();
$SIG{TERM} = sub { POSIX::_exit(0) };
$| = 1;
print "ready\n";
if ($mode eq 'attached') {
  my $watcher = fork() // die "fork: $!";
  if (!$watcher) {
    $SIG{TERM} = 'DEFAULT';
    while (sysread(STDIN, my $ignored, 4096)) { }
    kill 'TERM', 1;
    POSIX::_exit(0);
  }
  close STDIN;
}
open STDOUT, '>', '/dev/null';
while (1) { select(undef, undef, undef, 0.2) if waitpid(-1, 0) < 0 }
