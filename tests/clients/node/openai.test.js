// The official client for Node, both of its sockets and the routes beside them: spec/realtime §4.3.
// Run by `node --test` beside a server that `python/live.py` starts.
// Never trusts the client's types: it checks nothing at run time, so the values are looked at here.

import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

import { BYTES_PER_MS, Events, KEY, LIMIT, MODEL, MS_PER_CHARACTER, SERVER, SPEECH, SPEECH_FILE, TAP_WSS } from './live.js';
import { steps, user } from './live.js';

const rest = new OpenAI({ apiKey: KEY, baseURL: `${SERVER}/v1`, maxRetries: 0 });
const TEXT_LADDER = [
  'response.created',
  'response.output_item.added',
  'conversation.item.added',
  'response.content_part.added',
  'response.output_text.delta',
  'response.output_text.done',
  'response.content_part.done',
  'conversation.item.done',
  'response.output_item.done',
  'response.done',
  'rate_limits.updated',
];

const VARIANTS = {
  ws: (target, client) => new OpenAIRealtimeWS({ ...target, options: { rejectUnauthorized: false } }, client),
  native: (target, client) => new OpenAIRealtimeWebSocket(target, client),
};

/** Opens a socket of the variant until the end of test `t`; the client insists on TLS. */
function open(t, variant, target = { model: MODEL }, key = KEY) {
  const client = new OpenAI({ apiKey: key, baseURL: `${TAP_WSS.replace('wss', 'https')}/v1` });
  const connection = VARIANTS[variant](target, client);
  const events = new Events();
  connection.on('event', (event) => events.add(event));
  connection.on('error', (error) => error.error || events.fail(error));
  // a refused native socket ends with an error and no close
  const ended = new Promise((resolve) => ['close', 'error'].map((end) => connection.socket.addEventListener(end, resolve)));
  t.after(() => (connection.close(), ended));
  return { connection, events };
}

for (const variant of Object.keys(VARIANTS)) {
  describe(`OpenAIRealtime over ${variant}`, () => {
    test('a text turn climbs the ladder', LIMIT, async (t) => {
      const { connection, events } = open(t, variant);
      const created = await events.until('session.created');
      assert.equal(created.session.model, MODEL);
      connection.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'] } });
      await events.until('session.updated');
      connection.send({ type: 'conversation.item.create', item: user('say: From Node, with care.') });
      await events.until('conversation.item.done');
      const before = events.seen.length;
      connection.send({ type: 'response.create' });
      const { response } = await events.until('response.done');
      await events.until('rate_limits.updated');
      assert.deepEqual(steps(events.seen.slice(before)), TEXT_LADDER);
      const deltas = events.seen.filter((event) => event.type === 'response.output_text.delta');
      assert.equal(deltas.map((event) => event.delta).join(''), 'From Node, with care.');
      assert.equal(response.output[0].content[0].text, 'From Node, with care.');
    });

    test('an audio turn has as many samples as it has words', LIMIT, async (t) => {
      const text = 'Sixty milliseconds for every character.';
      const { connection, events } = open(t, variant);
      connection.socket.addEventListener('open', () => {
        connection.send({ type: 'conversation.item.create', item: user(`say: ${text}`) });
        connection.send({ type: 'response.create' });
      });
      const { response } = await events.until('response.done');
      assert.equal(response.output[0].content[0].transcript, text);
      const slices = events.seen
        .filter((event) => event.type === 'response.output_audio.delta')
        .map((event) => Buffer.from(event.delta, 'base64'));
      assert.ok(slices.length > 1);
      assert.deepEqual(slices.filter((slice) => slice.length % 2 !== 0), []);
      const milliseconds = Buffer.concat(slices).length / BYTES_PER_MS;
      const wanted = text.length * MS_PER_CHARACTER;
      assert.ok(Math.abs(milliseconds - wanted) <= wanted / 100, `${milliseconds} ms, not ${wanted} ms`);
    });

    test('an unknown event type is refused and survived', LIMIT, async (t) => {
      const { connection, events } = open(t, variant);
      await events.until('session.created');
      connection.send({ type: 'no.such.event', event_id: 'from_node' });
      const { error } = await events.until('error');
      assert.deepEqual([error.code, error.param, error.event_id], ['invalid_value', 'type', 'from_node']);
      connection.send({ type: 'input_audio_buffer.clear' });
      await events.until('input_audio_buffer.cleared');
    });

    test('a transcription session only listens', LIMIT, async (t) => {
      const { connection, events } = open(t, variant, { intent: 'transcription' });
      const { session } = await events.until('session.created');
      assert.equal(session.type, 'transcription');
      const transcription = { model: 'whisper-1', prompt: 'say: what a clear voice' };
      connection.send({ type: 'session.update', session: { type: 'transcription', audio: { input: { transcription } } } });
      await events.until('session.updated');
      connection.send({ type: 'input_audio_buffer.append', audio: SPEECH.toString('base64') });
      const heard = await events.until('conversation.item.input_audio_transcription.completed');
      assert.equal(heard.transcript, 'what a clear voice');
      connection.send({ type: 'input_audio_buffer.clear' });
      await events.until('input_audio_buffer.cleared');
      assert.deepEqual(events.seen.filter((event) => event.type.startsWith('response.')), []);
    });

    test('a client secret opens a socket with its session', LIMIT, async (t) => {
      const made = await rest.realtime.clientSecrets.create({
        session: { type: 'realtime', model: MODEL, instructions: 'Kept in the secret.' },
      });
      assert.match(made.value, /^ek_/);
      assert.ok(made.expires_at > Date.now() / 1000);
      assert.equal(made.session.type, 'realtime');
      const { events } = open(t, variant, { model: MODEL }, made.value);
      const { session } = await events.until('session.created');
      assert.equal(session.instructions, 'Kept in the secret.');
    });
  });
}

test('the native socket is answered with the protocol and never with the key', LIMIT, async (t) => {
  const { connection, events } = open(t, 'native');
  await events.until('session.created');
  assert.equal(connection.socket.protocol, 'realtime');
});

test('a wrong key is an error that names the cause', LIMIT, async (t) => {
  const { events } = open(t, 'ws', { model: MODEL }, 'sk-wrong-wrong-wrong-wrong');
  await assert.rejects(events.until('session.created'), /401/);
  const stranger = new OpenAI({ apiKey: 'sk-wrong-wrong-wrong-wrong', baseURL: `${SERVER}/v1`, maxRetries: 0 });
  await assert.rejects(stranger.realtime.clientSecrets.create({}), (error) => {
    assert.deepEqual([error.status, error.code], [401, 'invalid_api_key']);
    return true;
  });
});

test('a wrong key fails the native socket too', LIMIT, async (t) => {
  const { events } = open(t, 'native', { model: MODEL }, 'sk-wrong-wrong-wrong-wrong');
  await assert.rejects(events.until('session.created'));
  assert.deepEqual(events.seen, []);
});

test('speech is made on the same server', LIMIT, async () => {
  const input = 'Spoken for Node.';
  const answer = await rest.audio.speech.create({ model: 'tts-1', voice: 'alloy', input, response_format: 'pcm' });
  const bytes = (await answer.arrayBuffer()).byteLength;
  assert.equal(bytes, input.length * MS_PER_CHARACTER * BYTES_PER_MS);
});

test('a transcription is streamed by the same server', LIMIT, async () => {
  const stream = await rest.audio.transcriptions.create({
    model: 'gpt-4o-mini-transcribe',
    file: createReadStream(SPEECH_FILE),
    prompt: 'say: heard by Node',
    stream: true,
  });
  const events = [];
  for await (const event of stream) events.push(event);
  const deltas = events.filter((event) => event.type === 'transcript.text.delta').map((event) => event.delta);
  assert.equal(deltas.join(''), 'heard by Node');
  assert.equal(events.at(-1).type, 'transcript.text.done');
  assert.equal(events.at(-1).text, 'heard by Node');
});
