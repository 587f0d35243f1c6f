// Pins every row of the procedure table against a real libvirtd: each is called, at the level of the
// wire, and its reply read. Numbers are compared with libvirt's own list as well, where it is installed.
import { existsSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EVENTS } from '../../../src/drivers/libvirt/events.ts';
import { REMOTE_PROGRAM } from '../../../src/drivers/libvirt/frame.ts';
import { PROCEDURES } from '../../../src/drivers/libvirt/procedures.ts';
import { startPinning, type Pinning } from './pinning.ts';
import { backupPins } from './pins-backup.ts';
import { blockPins } from './pins-block.ts';
import { domainPins } from './pins-domain.ts';
import { guestPins } from './pins-guest.ts';
import { hostPins } from './pins-host.ts';

/** Probe names that libvirt-daemon installs: procedure numbers straight from its protocol files. */
const LIBVIRT_LIST = '/usr/share/systemtap/tapset/libvirt_functions.stp';
const PINS = { ...hostPins, ...domainPins, ...guestPins, ...backupPins, ...blockPins };

const test = suite('libvirt procedures on a real libvirtd');
let pinning: Pinning;

test.before(async () => {
  pinning = await startPinning();
});

test.after(() => pinning?.stop());

test('every procedure in the table has a pin, and no pin is without a procedure', () => {
  assert.equal(Object.keys(PINS).sort(), Object.keys(PROCEDURES).sort());
});

test("names and numbers agree with libvirt's own list", () => {
  if (!existsSync(LIBVIRT_LIST)) return console.log(`skipped: ${LIBVIRT_LIST} is not installed`);
  const known = readProcedureNames(readFileSync(LIBVIRT_LIST, 'utf8'));
  for (const { program, number, name } of Object.values(PROCEDURES)) {
    assert.is(known.get(`${program}/${number}`), name);
  }
  for (const { procedure } of Object.values(EVENTS)) {
    const name = known.get(`${REMOTE_PROGRAM}/${procedure}`) ?? 'none';
    assert.match(name, /^domain_event_/, `${procedure} is ${name}`);
  }
});

for (const [name, pin] of Object.entries(PINS)) {
  test(`${name} is understood`, () => pin(pinning));
}

test('the connection that took all this is still good', async () => {
  const reply = await pinning.connection.call(PROCEDURES.connectGetHostname, undefined);
  assert.ok(reply.hostname.length > 0);
});

/** `program/number` to name. */
function readProcedureNames(text: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  let program = '';
  let number = '';
  for (const line of text.split('\n')) {
    program = /program == (\d+) && version == 1/.exec(line)?.[1] ?? program;
    number = /proc == (\d+)/.exec(line)?.[1] ?? number;
    const name = /procstr = "(\w+)"/.exec(line)?.[1];
    if (name !== undefined) names.set(`${program}/${number}`, name);
  }
  return names;
}

test.run();
