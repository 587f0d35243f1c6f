// Pins for procedures-guest.ts.
import * as assert from 'uvu/assert';
import { PROCEDURES as P } from '../../../src/drivers/libvirt/procedures.ts';
import type { guestProcedures } from '../../../src/drivers/libvirt/procedures-guest.ts';
import { openStream, readAll } from '../../../src/drivers/libvirt/stream.ts';
import { refusal, type Pins } from './pinning.ts';

/** One check per procedure, by its key in the table, in the order they are run. */
export const guestPins: Pins<typeof guestProcedures> = {
  async domainOpenConsole({ session, running }) {
    const args = { domain: running, device: null, flags: 0 };
    const { stream } = await openStream(await session(), P.domainOpenConsole, args);
    const second = openStream(await session(), P.domainOpenConsole, args);
    await refusal(second, 'operation-failed', 9);
    stream.destroy();
    const absent = { ...args, device: 'nothing' };
    await refusal(openStream(await session(), P.domainOpenConsole, absent), 'internal-error', 1);
  },
  async domainScreenshot({ session, running }) {
    const args = { domain: running, screen: 0, flags: 0 };
    const { stream, result } = await openStream(await session(), P.domainScreenshot, args);
    assert.is(result.mime, 'image/png');
    const image = await readAll(stream, 1024 * 1024);
    assert.is(image.subarray(1, 4).toString(), 'PNG');
  },
  async domainAgentCommand({ connection, running }) {
    const command = '{"execute":"guest-ping"}';
    const args = { domain: running, command, timeoutS: 1, flags: 0 };
    await refusal(connection.call(P.domainAgentCommand, args), 'agent-unresponsive', 86);
  },
  async domainFsfreeze({ connection, running }) {
    const args = { domain: running, mountPoints: ['/'], flags: 0 };
    await refusal(connection.call(P.domainFsfreeze, args), 'agent-unresponsive', 86);
  },
  async domainFsthaw({ connection, running }) {
    const args = { domain: running, mountPoints: [], flags: 0 };
    await refusal(connection.call(P.domainFsthaw, args), 'agent-unresponsive', 86);
  },
  async domainMonitorCommand({ connection, running }) {
    const args = { domain: running, command: '{"execute":"query-version"}', flags: 0 };
    const { result } = await connection.call(P.domainMonitorCommand, args);
    assert.match(result, '"return"');
    const wrong = { ...args, command: '{"execute":"no-such-thing"}' };
    // QMP errors come back in the result; it is libvirt's own checks that are errors.
    assert.match((await connection.call(P.domainMonitorCommand, wrong)).result, 'CommandNotFound');
  },
};
