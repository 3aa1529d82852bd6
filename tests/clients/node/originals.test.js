// Clients as those of "Voice V2" and "Eclipse" work: the same messages in the same order, the same time limits, the same way of
// playing what comes and of coming back. Written by what they do, for a native WebSocket.
// Run by `node --test` beside a server that `python/live.py` starts.
// Never uses anything that their servers did not promise.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { KEY, LIMIT, SERVER, SPEECH } from './live.js';

const SOCKETS = SERVER.replace('http', 'ws');

/** The spoken question as a desktop sends it: 16 kHz, in frames of 2048 samples. */
function frames() {
  const [from, frame] = [new Int16Array(SPEECH.buffer.slice(SPEECH.byteOffset, SPEECH.byteOffset + SPEECH.length)), 2048];
  const samples = Int16Array.from({ length: Math.floor((from.length * 2) / 3) }, (_, n) => {
    const at = n * 1.5;
    return Math.floor((from[Math.floor(at)] + from[Math.ceil(at)]) / 2);
  });
  const cut = [];
  for (let at = 0; at + frame <= samples.length; at += frame) cut.push(samples.slice(at, at + frame));
  return cut;
}

/** What plays an app's sound: everything that ever came, by its index, and a pointer that only a new call sets back. */
class PlaybackQueue {
  items = [];
  position = 0;
  played = [];

  add(item) {
    this.items.push(item);
    this.items.sort((one, other) => one.index - other.index);
    while (this.position < this.items.length) this.played.push(this.items[this.position++]);
  }
}

/** The app's service for calls. */
class VoiceCall {
  queue = new PlaybackQueue();
  heard = { partial: [], final: [], statuses: [], errors: [] };
  sessions = [];
  active = false;
  waiting = [];
  pinged = 0;

  constructor(url, token) {
    Object.assign(this, { url, token });
  }

  async start() {
    this.active = true;
    this.socket = new WebSocket(this.url);
    this.socket.binaryType = 'arraybuffer';
    const opened = new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onerror = () => reject(new Error('WebSocket connection failed'));
    });
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.closed(code);
    await within(10_000, opened, 'connecting');
    const started = this.next('session_started');
    this.say({ type: 'session_start', userId: 'user', conversationId: '', authToken: this.token });
    await within(5_000, started, 'session_started');
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  speak() {
    for (const frame of frames()) this.socket.send(frame.buffer);
  }

  next(type) {
    return new Promise((resolve) => this.waiting.push({ type, resolve }));
  }

  take(message) {
    switch (message.type) {
      case 'session_started':
        this.sessions.push(message.sessionId);
        break;
      case 'partial_transcript':
        this.heard.partial.push(message.text);
        break;
      case 'final_transcript':
        this.heard.final.push(message.text);
        break;
      case 'audio_chunk':
        this.queue.add({ audio: message.audio, index: message.sentenceIndex });
        break;
      case 'status':
        this.heard.statuses.push(message.status);
        break;
      case 'error':
        this.heard.errors.push(message);
        if (['AUTH_REQUIRED', 'AUTH_INVALID', 'AUTH_ERROR'].includes(message.code)) this.active = false;
        break;
      default: // everything else it logs, and goes on
    }
    for (const wait of this.waiting.filter(({ type }) => type === message.type)) wait.resolve(message);
    this.waiting = this.waiting.filter(({ type }) => type !== message.type);
  }

  closed(code) {
    if (code !== 1000 && this.active) this.back = new Promise((resolve) => setTimeout(resolve, 1_000)).then(() => this.start());
    for (const { resolve } of this.waiting.filter(({ type }) => type === 'close')) resolve(code);
  }

  stop() {
    this.active = false;
    this.socket.close();
  }
}

function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

test('an app of Voice V2 talks, plays every sentence in order, and comes back after a broken connection', LIMIT, async () => {
  const call = new VoiceCall(`${SOCKETS}/voice`, KEY);
  await call.start();
  for (const turn of [1, 2]) {
    const complete = call.next('ai_response_complete');
    call.speak();
    await complete;
    assert.equal(call.heard.final.length, turn);
  }
  const { items, played } = call.queue;
  assert.ok(played.length >= 2);
  // nothing came that sorts before what was played already
  assert.deepEqual(played, items);
  assert.deepEqual(played.map(({ index }) => index), [...played.keys()]);
  for (const { audio } of played) assert.ok(Buffer.from(audio, 'base64').length > 1_000);
  for (const status of ['transcribing', 'thinking', 'speaking', 'listening']) assert.ok(call.heard.statuses.includes(status), status);
  const pong = call.next('pong');
  call.say({ type: 'ping' });
  await within(40_000, pong, 'pong');
  // the network goes; whatever the code, the app is back in a second, with a session of its own
  const broken = call.next('close');
  call.socket.close(3000);
  await broken;
  await call.back;
  assert.equal(new Set(call.sessions).size, 2);
  const complete = call.next('ai_response_complete');
  call.speak();
  await complete;
  assert.deepEqual(call.heard.errors, []);
  call.stop();
});

test('an app of Voice V2 gives up when its token is refused, and does not come back for ever', LIMIT, async () => {
  const call = new VoiceCall(`${SOCKETS}/voice`, 'not-a-token-of-anybody');
  const error = call.next('error');
  const closed = call.next('close');
  const starting = call.start().catch((failure) => failure);
  assert.equal((await error).code, 'AUTH_INVALID');
  assert.equal(await closed, 4001);
  assert.equal(call.active, false);
  assert.ok((await starting) instanceof Error, 'session_started never came');
});

/** The hook of the support chat. */
class ChatHook {
  messages = [];
  joined = null;
  attempts = 0;
  delays = [];
  closes = [];
  error = null;
  connected = false;
  waiting = [];

  constructor(chat, who, tokens = roomToken) {
    Object.assign(this, { chat, who, tokens });
  }

  async connect() {
    // a fresh token each time
    const { token, wsUrl } = await this.tokens(this.chat, this.who);
    this.socket = new WebSocket(`${wsUrl}?token=${token}`);
    this.socket.onopen = () => {
      this.connected = true;
      this.attempts = 0;
    };
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = ({ code }) => this.closed(code);
  }

  take(message) {
    switch (message.type) {
      case 'message':
        if (this.messages.some(({ id }) => id === message.data.id)) assert.fail(`${message.data.id} came twice`);
        this.messages = this.messages.filter(({ id, content }) => !id.startsWith('optimistic_') || content !== message.data.content);
        this.messages.push(message.data);
        break;
      case 'message_updated':
        this.messages = this.messages.map((known) => (known.id === message.data.id ? message.data : known));
        break;
      case 'agent_joined':
        this.joined ??= message.data;
        break;
      case 'error':
        this.error = message.error || message.message;
        break;
      case 'connected':
      case 'typing':
      case 'pong':
        break;
      default:
        assert.fail(`unknown message type: ${message.type}`);
    }
    this.tell(message.type, message);
  }

  closed(code) {
    this.connected = false;
    this.closes.push(code);
    if (code !== 1000 && this.attempts < 10) {
      const delay = Math.min(1_000 * 2 ** this.attempts++, 30_000);
      this.delays.push(delay);
      this.timer = setTimeout(() => this.connect(), delay);
    }
    this.tell('close', code);
  }

  tell(type, value) {
    for (const wait of this.waiting.filter((one) => one.type === type)) wait.resolve(value);
    this.waiting = this.waiting.filter((one) => one.type !== type);
  }

  next(type) {
    return new Promise((resolve) => this.waiting.push({ type, resolve }));
  }

  /** Sends, and shows at once what was sent. */
  send(content, role) {
    const trimmed = content.trim();
    this.messages.push({ id: `optimistic_${Date.now()}_${this.messages.length}`, content: trimmed });
    this.socket.send(JSON.stringify({ type: 'message', content: trimmed, role }));
  }

  unmount() {
    clearTimeout(this.timer);
    this.socket.close(1000, 'Component unmounting');
  }
}

/** What the web application's route for tokens answers. */
async function roomToken(chat, who) {
  const answer = await fetch(`${SERVER}/v1/rooms/${chat}/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(who),
  });
  return answer.json();
}

test('hooks of the support chat: escalated, assigned, joined, two-way, each message once, and back after a break', LIMIT, async () => {
  const customer = new ChatHook('hooks', {});
  const agent = new ChatHook('hooks', { userId: 'agent-1', isAuthenticated: true, name: 'Bob' });
  for (const hook of [customer, agent]) {
    const connected = hook.next('connected');
    await hook.connect();
    assert.equal((await connected).chatId, 'hooks');
  }
  const joined = customer.next('agent_joined');
  agent.socket.send(JSON.stringify({ type: 'agent_joined', agentId: 'agent-1', agentName: 'Bob' }));
  await joined;
  assert.equal(customer.joined.agentName, 'Bob');
  const conversation = [[customer, '  Where is my order?  ', 'USER'], [agent, 'Let me look.', 'ASSISTANT'], [customer, 'Thank you: 1 < 2 & "so" \u{1f600}', 'USER']];
  for (const [from, words, role] of conversation) {
    const to = from === customer ? agent : customer;
    const [own, other] = [from.next('message'), to.next('message')];
    from.send(words, role);
    await Promise.all([own, other]);
  }
  for (const hook of [customer, agent]) {
    // the optimistic ones are gone: the content came back as it was sent
    assert.deepEqual(hook.messages.map(({ content }) => content), conversation.map(([, words]) => words.trim()));
    assert.deepEqual(hook.messages.map(({ role }) => role), ['user', 'assistant', 'user']);
  }
  // the connection breaks: back within the hook's first delay, with another token
  const [broken, again] = [customer.next('close'), customer.next('connected')];
  customer.socket.close(3000);
  await broken;
  await again;
  assert.deepEqual(customer.delays, [1_000]);
  const heard = customer.next('message');
  agent.send('Still there?', 'ASSISTANT');
  assert.equal((await heard).data.content, 'Still there?');
  // a customer who claims to be the team is told so, and stays connected
  const refused = customer.next('error');
  customer.send('I am the team', 'ASSISTANT');
  await refused;
  assert.equal(customer.error, 'Failed to send message');
  assert.equal(customer.connected, true);
  for (const hook of [customer, agent]) {
    const closed = hook.next('close');
    hook.unmount();
    await closed;
    assert.equal(hook.closes.at(-1), 1000);
  }
});

test('a hook whose token is refused is closed with 4002 after it was open', LIMIT, async () => {
  const wrong = async (chat, who) => ({ ...(await roomToken(chat, who)), token: 'no.token.atall' });
  const hook = new ChatHook('refused', {}, wrong);
  const closed = hook.next('close');
  await hook.connect();
  assert.equal(await closed, 4002);
  clearTimeout(hook.timer);
});
