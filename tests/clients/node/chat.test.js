// The client of a chat room that the README shows, as it stands there.
// Run by `node --test` beside a server that `python/live.py` starts.
// Never a copy: what is shown is what is run.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { KEY, LIMIT, SERVER } from './live.js';

test('the snippet of the README says something in a room and hears it once', LIMIT, async () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, snippet] = /## Chat rooms[^]*?```js\n([^]*?)```/.exec(readme);
  const node = spawn(process.execPath, ['--experimental-websocket', '--input-type=module', '-e', snippet], {
    env: { ...process.env, ANTIPHON_URL: SERVER, ANTIPHON_API_KEY: KEY },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  node.stdout.on('data', (data) => (said += data));
  const code = await new Promise((resolve) => node.once('exit', resolve));
  assert.equal(code, 0);
  assert.equal(said, 'Ann: Hello\n');
});
