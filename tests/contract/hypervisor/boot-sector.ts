// A guest of 512 bytes, for tests that need one that is up within a second and does what it is told.
// On its first serial port it prints `guest ready` at each boot, echoes what it is sent, powers off at
// `q`, resets itself at `r`; at the ACPI power button it prints `power button` and powers off. Before it
// powers off it prints `power off`.
//
// Real-mode x86 for QEMU's q35 under SeaBIOS, which puts the ACPI power management ports at 0x600.

const CODE = [
  // Segments to 0, a stack below us; enable the power button's status bit (PM1_EN, 0x602).
  '31c0 8ed8 8ed0 bc007c fc  ba0206 b80001 ef',
  // Print `guest ready`; then for ever: sleep until the timer's tick,
  'be6e7c e83f00 fb  f4',
  // look at PM1_STS (0x600) for the power button,
  'ba0006 ed f6c401 7517',
  // and at the serial port (0x3f8) for a byte: q, r, or one to echo.
  'bafd03 ec a801 74ee  baf803 ec  3c71 740d  3c72 7419  ee ebdf',
  // The button: print `power button`; and at q too: print `power off`, write SLP_EN of type 0 to PM1_CNT.
  'be7c7c e81700  be8b7c e81100  ba0406 b80020 ef f4 ebf6',
  // r: reset through the keyboard controller.
  'b0fe e664 f4 ebf9',
  // print: each byte of a text, when the transmitter is empty.
  'ac 84c0 7412 88c4  bafd03 ec a820 74f8  baf803 88e0 ee ebe9  c3',
];
const TEXTS = 'guest ready\r\n\0power button\r\n\0power off\r\n\0';
const DISK_BYTES = 1024 * 1024;

/** The whole disk, raw. */
export function bootSectorDisk(): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  const code = Buffer.from(CODE.join('').replaceAll(' ', ''), 'hex');
  code.copy(disk);
  disk.write(TEXTS, code.length, 'latin1');
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}
