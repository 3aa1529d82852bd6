// The agents SDK over a WebSocket: history, tools, audio, barge-in and interruption (spec/realtime §4.4).
// Run by `node --test` beside a server that `python/live.py` starts.
// Never sends a frame of its own: what the SDK sends is listened to and left as it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

import { BYTES_PER_MS, Events, KEY, LIMIT, MODEL, MS_PER_CHARACTER, SPEECH, TAP_WS } from './live.js';

const TRANSCRIPTION = 'conversation.item.input_audio_transcription.completed';
const SESSION_EVENTS = ['agent_tool_start', 'agent_tool_end', 'audio_interrupted', 'history_updated'];

/** A transcription setting under which the scripted recogniser hears `text`. */
const heard = (text) => ({ model: 'gpt-4o-mini-transcribe', prompt: text });

/**
 * A connected session that ends with test `t`: `server` has what the server sent, `client` what the SDK sent, `told`
 * what it told the application. At the end no event may have failed the SDK's schemas and no error may have come.
 */
async function connect(t, { config = {}, tools = [] } = {}) {
  const transport = new OpenAIRealtimeWebSocket({ url: `${TAP_WS}/v1/realtime?model=${MODEL}`, useInsecureApiKey: true });
  const agent = new RealtimeAgent({ name: 'tested', instructions: 'Answer.', tools });
  const session = new RealtimeSession(agent, { transport, config });
  const [server, client, told] = [new Events(), new Events(), new Events()];
  const problems = [];
  const downgraded = watchDowngrades(transport);
  transport.on('*', (event) => server.add(event));
  transport.on('connection_change', (status) => {
    if (status === 'connecting') listenTo(transport.connectionState.websocket, client);
  });
  for (const type of ['turn_done', 'usage_update', 'audio_done', 'audio']) {
    transport.on(type, (event) => told.add({ ...event, type }));
  }
  for (const type of SESSION_EVENTS) session.on(type, () => told.add({ type }));
  session.on('error', (problem) => problems.push(problem));
  const uncaught = (problem) => problems.push(problem);
  process.on('uncaughtException', uncaught);
  t.after(() => {
    session.close();
    process.off('uncaughtException', uncaught);
    assert.deepEqual(downgraded(), [], 'events that the SDK could not read');
    assert.deepEqual(problems, []);
  });
  await session.connect({ apiKey: KEY });
  return { session, transport, server, client, told };
}

/** Notes every frame that the SDK sends. */
function listenTo(socket, events) {
  const send = socket.send.bind(socket);
  socket.send = (frame) => {
    events.add(JSON.parse(frame));
    send(frame);
  };
}

/** Types that only the catch-all listener was told of: the SDK tells the others a second time, by type. */
function watchDowngrades(transport) {
  const waiting = new Map();
  transport.on('*', ({ type }) => {
    if (!waiting.has(type)) transport.on(type, () => waiting.set(type, waiting.get(type) - 1));
    waiting.set(type, (waiting.get(type) ?? 0) + 1);
  });
  return () => [...waiting].filter(([, left]) => left > 0).map(([type]) => type);
}

const ofType = (events, type) => events.seen.filter((event) => event.type === type);
const milliseconds = (told) => ofType(told, 'audio').reduce((sum, { data }) => sum + data.byteLength, 0) / BYTES_PER_MS;

test('the history ends with both sides of a turn', LIMIT, async (t) => {
  const { session, told } = await connect(t);
  session.sendMessage('say: Good evening to you.');
  await told.until('turn_done');
  const [asked, answered] = session.history.slice(-2);
  assert.deepEqual([asked.role, asked.status], ['user', 'completed']);
  assert.deepEqual([answered.role, answered.status], ['assistant', 'completed']);
  assert.equal(answered.content[0].transcript, 'Good evening to you.');
});

test('a tool is called once and its output answered', LIMIT, async (t) => {
  const asked = [];
  const weather = tool({
    name: 'get_weather',
    description: 'Weather of a city',
    parameters: z.object({ city: z.string() }),
    execute: async ({ city }) => (asked.push(city), '18 degrees'),
  });
  const { session, told, client } = await connect(t, { tools: [weather] });
  session.sendMessage('get_weather {"city":"Paris"}');
  await told.until('agent_tool_start');
  await told.until('agent_tool_end');
  while (ofType(told, 'turn_done').length < 2) await told.until('turn_done');
  assert.deepEqual(asked, ['Paris']);
  const outputs = ofType(client, 'conversation.item.create').filter(({ item }) => item.type === 'function_call_output');
  assert.deepEqual(outputs.map(({ item }) => item.output), ['18 degrees']);
  assert.match(session.history.at(-1).content[0].transcript, /18 degrees/);
});

test('the audio is all there and done once', LIMIT, async (t) => {
  const text = 'Every sample of this arrives.';
  const { session, told } = await connect(t);
  session.sendMessage(`say: ${text}`);
  await told.until('turn_done');
  assert.equal(milliseconds(told), text.length * MS_PER_CHARACTER);
  assert.equal(ofType(told, 'audio_done').length, 1);
});

test('usage is passed on as it was counted', LIMIT, async (t) => {
  const { session, told, server } = await connect(t);
  session.sendMessage('say: Count this.');
  const { inputTokens, outputTokens, totalTokens } = await told.until('usage_update');
  const { usage } = (await server.until('response.done')).response;
  assert.deepEqual([inputTokens, outputTokens, totalTokens], [usage.input_tokens, usage.output_tokens, usage.total_tokens]);
  assert.ok(inputTokens > 0 && outputTokens > 0);
});

test('a spoken question is in the history with its transcript', LIMIT, async (t) => {
  const transcription = heard('say: say: Half past four.');
  const { session, told, server } = await connect(t, { config: { audio: { input: { transcription } } } });
  session.transport.sendAudio(SPEECH);
  const { transcript } = await server.until(TRANSCRIPTION);
  assert.equal(transcript, 'say: Half past four.');
  const { item } = await server.until('conversation.item.retrieved');
  assert.equal(item.content[0].transcript, transcript);
  if (ofType(told, 'turn_done').length === 0) await told.until('turn_done');
  const [asked, answered] = session.history;
  assert.deepEqual([asked.role, asked.status, asked.content[0].transcript], ['user', 'completed', transcript]);
  assert.equal(answered.content[0].transcript, 'Half past four.');
});

for (const interruptResponse of [true, false]) {
  test(`speech over a reply, interrupt_response ${interruptResponse}`, LIMIT, async (t) => {
    const turnDetection = { type: 'server_vad', createResponse: false, interruptResponse };
    const { session, told, client, server } = await connect(t, { config: { audio: { input: { turnDetection } } } });
    await server.until('session.updated');
    session.sendMessage('slowly 20 long');
    await told.until('audio');
    session.transport.sendAudio(SPEECH);
    await told.until('audio_interrupted');
    const { response } = await server.until('response.done');
    assert.equal(response.status, 'cancelled');
    if (ofType(server, 'conversation.item.truncated').length === 0) await server.until('conversation.item.truncated');
    await server.until('conversation.item.retrieved');
    assert.equal(ofType(client, 'conversation.item.truncate').length, 1);
    assert.equal(ofType(client, 'response.cancel').length, interruptResponse ? 0 : 1);
    const reason = interruptResponse ? 'turn_detected' : 'client_cancelled';
    assert.equal(response.status_details.reason, reason);
  });
}

test('an interruption by the application cuts what was not heard', LIMIT, async (t) => {
  const { session, told, client, server } = await connect(t);
  session.sendMessage('slowly 20 long');
  await told.until('audio');
  session.interrupt();
  const [truncate] = ofType(client, 'conversation.item.truncate');
  const received = milliseconds(told);
  assert.ok(Number.isInteger(truncate.audio_end_ms) && truncate.audio_end_ms >= 0 && truncate.audio_end_ms <= received);
  const { response } = await server.until('response.done');
  assert.equal(response.status, 'cancelled');
  if (ofType(server, 'conversation.item.truncated').length === 0) await server.until('conversation.item.truncated');
  assert.equal(ofType(server, 'conversation.item.truncated')[0].audio_end_ms, truncate.audio_end_ms);
});

test('two messages at once are two responses', LIMIT, async (t) => {
  const { session, told, server } = await connect(t);
  session.sendMessage('say: One.');
  session.sendMessage('say: Two.');
  while (ofType(told, 'turn_done').length < 2) await told.until('turn_done');
  const ended = ofType(server, 'response.done').map(({ response }) => response.status);
  assert.deepEqual(ended, ['completed', 'completed']);
});

test("the SDK's own default model does no harm", LIMIT, async (t) => {
  const { session, told, client, server } = await connect(t);
  const { session: updated } = await server.until('session.updated');
  const sent = ofType(client, 'session.update').find((event) => event.session.model);
  assert.notEqual(sent.session.model, MODEL);
  assert.equal(updated.model, MODEL);
  session.sendMessage('say: Still here.');
  await told.until('turn_done');
  assert.equal(session.history.at(-1).content[0].transcript, 'Still here.');
});
