// The client's types are those of the table of routes.
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CLIENT_TYPES, wantedClientTypes } from '../../support/client-types.ts';

const test = suite('client: types');

test('src/client/operations.ts is what the routes say; `npm run client-types` writes it anew', async () => {
  assert.ok(readFileSync(CLIENT_TYPES, 'utf8') === (await wantedClientTypes()));
});

test.run();
