// A client of the older flat shape that applications still build on (and @mastra/voice-openai-realtime sits on):
// openai-realtime-api 1.0.8, over `ws` with a header and over the native socket with a subprotocol (spec/realtime §4.11).
// Run by `node --test` beside a server that `python/live.py` starts; never sends a frame of its own.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RealtimeClient } from 'openai-realtime-api';

import { BYTES_PER_MS, Events, KEY, LIMIT, MODEL, MS_PER_CHARACTER, SPEECH, TAP_WS } from './live.js';

const NATIVE = globalThis.WebSocket;
const ask = (text) => [{ type: 'input_text', text }];

/** A connected client until the end of test `t`; the events that it could not place are an error. */
async function connect(t, variant, sessionConfig = {}) {
  const client = new RealtimeClient({ sessionConfig, url: `${TAP_WS}/v1/realtime`, model: MODEL, apiKey: KEY });
  client.conversation.debug = true; // it says so when an event does not fit its conversation
  const complaints = t.mock.method(console, 'error', () => {});
  const events = new Events();
  client.realtime.on('server.*', (event) => events.add(event));
  const ended = new Promise((resolve) => client.realtime.on('close', resolve));
  globalThis.WebSocket = variant === 'native' ? NATIVE : undefined;
  await client.connect();
  globalThis.WebSocket = NATIVE;
  t.after(async () => {
    client.disconnect();
    await ended;
    assert.deepEqual(complaints.mock.calls.map((call) => call.arguments), []);
  });
  await events.until('session.updated');
  return { client, events };
}

for (const variant of ['ws', 'native']) {
  describe(`openai-realtime-api over ${variant}`, () => {
    test('a text turn', LIMIT, async (t) => {
      const { client, events } = await connect(t, variant, { modalities: ['text'], voice: 'echo' });
      const { session } = events.seen.at(-1);
      assert.deepEqual([session.modalities, session.voice, session.turn_detection], [['text'], 'echo', null]);
      client.sendUserMessageContent(ask('say: As in the old days.'));
      await events.until('response.done');
      const [asked, answered] = client.conversation.getItems();
      assert.deepEqual([asked.role, asked.status, asked.formatted.text], ['user', 'completed', 'say: As in the old days.']);
      assert.deepEqual([answered.role, answered.status], ['assistant', 'completed']);
      assert.equal(answered.content[0].text, 'As in the old days.');
      assert.equal(answered.formatted.text, 'As in the old days.');
    });

    test('a spoken turn', LIMIT, async (t) => {
      const { client, events } = await connect(t, variant, {
        input_audio_transcription: { model: 'whisper-1', prompt: 'say: say: Spoken and heard.' },
      });
      const sound = new Int16Array(SPEECH.buffer.slice(SPEECH.byteOffset, SPEECH.byteOffset + SPEECH.byteLength));
      client.appendInputAudio(sound);
      client.createResponse();
      await events.until('response.done');
      const transcribed = 'conversation.item.input_audio_transcription.completed';
      if (!events.seen.some((event) => event.type === transcribed)) await events.until(transcribed);
      const [asked, answered] = client.conversation.getItems();
      assert.equal(asked.formatted.transcript, 'say: Spoken and heard.');
      assert.equal(asked.formatted.audio.length, sound.length);
      assert.equal(answered.content[0].transcript, 'Spoken and heard.');
      const samples = 'Spoken and heard.'.length * MS_PER_CHARACTER * (BYTES_PER_MS / 2);
      assert.equal(answered.formatted.audio.length, samples);
    });

    test('a tool is called and answered', LIMIT, async (t) => {
      const { client, events } = await connect(t, variant, { modalities: ['text'] });
      const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
      const asked = [];
      client.addTool({ name: 'get_weather', description: 'Weather of a city', parameters }, ({ city }) => {
        asked.push(city);
        return '18 degrees';
      });
      client.sendUserMessageContent(ask('get_weather {"city":"Paris"}'));
      await events.until('response.done');
      await events.until('response.done');
      assert.deepEqual(asked, ['Paris']);
      assert.match(client.conversation.getItems().at(-1).formatted.text, /18 degrees/);
    });

    test('a reply is cut and deleted', LIMIT, async (t) => {
      const { client, events } = await connect(t, variant);
      client.sendUserMessageContent(ask('slowly 20 long'));
      const { item_id: id } = await events.until('response.audio.delta');
      client.cancelResponse(id, 24);
      const { response } = await events.until('response.done');
      assert.deepEqual([response.status, response.status_details.reason], ['cancelled', 'client_cancelled']);
      assert.equal((await events.until('conversation.item.truncated')).audio_end_ms, 1);
      assert.equal(client.conversation.getItem(id).formatted.audio.length, 24);
      client.deleteItem(id);
      await events.until('conversation.item.deleted');
      assert.equal(client.conversation.getItems().length, 1);
    });
  });
}
