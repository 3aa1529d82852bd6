// Where the server under test is, what is said to it, and a queue of what it answers.
// Used by every `*.test.js` here; `python/live.py` starts the server and sets the addresses.
// Never speaks the protocol itself: that is what the clients under test are for.

import { readFileSync } from 'node:fs';

function setting(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run tests/clients/run.sh`);
  return value;
}

/** The server itself, for REST. */
export const SERVER = setting('ANTIPHON_URL');
/** The recording tap in front of it, plain and with TLS, for sockets. */
export const TAP_WS = setting('ANTIPHON_TAP_WS');
export const TAP_WSS = setting('ANTIPHON_TAP_WSS');
export const KEY = setting('ANTIPHON_KEY');
export const MODEL = 'gpt-realtime';

/** Of each test: nothing here takes longer than a spoken sentence. */
export const LIMIT = { timeout: 30_000 };
/** The scripted voice speaks this long per character. */
export const MS_PER_CHARACTER = 60;
export const BYTES_PER_MS = 48;

/** A spoken question in 24 kHz 16-bit mono samples, and the silence that ends a turn. */
export const SPEECH_FILE = new URL('../speech.wav', import.meta.url);
export const SPEECH = Buffer.concat([readFileSync(SPEECH_FILE).subarray(44), Buffer.alloc(900 * BYTES_PER_MS)]);

/** Event types with repeated ones once. */
export function steps(events) {
  return events.map((event) => event.type).filter((type, at, all) => type !== all[at - 1]);
}

/** A user message. */
export function user(text) {
  return { type: 'message', role: 'user', content: [{ type: 'input_text', text }] };
}

/** Events in the order of their arrival, for a test that waits for one of them. */
export class Events {
  seen = [];
  #read = 0;
  #failure = null;
  #wake = () => {};

  /** Takes in an event. */
  add(event) {
    this.seen.push(event);
    this.#wake();
  }

  /** The connection is of no use any more; whoever waits is told. */
  fail(error) {
    this.#failure ??= error;
    this.#wake();
  }

  /** The next event of this type; those before it stay in `seen`. An error event in between ends the wait. */
  async until(type) {
    for (;;) {
      while (this.#read < this.seen.length) {
        const event = this.seen[this.#read++];
        if (event.type === type) return event;
        if (event.type === 'error') throw new Error(`waiting for ${type}: ${JSON.stringify(event.error)}`);
      }
      if (this.#failure) throw this.#failure;
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}
