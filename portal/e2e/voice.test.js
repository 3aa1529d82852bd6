// The app voice socket in a real browser: the client of the README, line by line, and both ways in which an app plays an answer.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { startServer } from "./server.js";

const VOICE = new URL("../public/sample.wav", import.meta.url).pathname;
const README = new URL("../../README.md", import.meta.url);
const SECRET = "a secret that only this test and its server know";
const ANSWER = "It is sunny today. Enjoy it while it lasts.";

/** @type {Awaited<ReturnType<typeof startServer>>} */ let server;
/** @type {import("playwright-core").Browser} */ let browser;

before(async () => {
  server = await startServer({
    ANTIPHON_SCRIPTED__TRANSCRIPTS: `say: ${ANSWER}`, ANTIPHON_SCRIPTED__SPEECH_MS_PER_CHAR: "30",
    ANTIPHON_VOICE__TOKEN_SECRET: SECRET,
  });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
      "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
      `--use-file-for-fake-audio-capture=${VOICE}%noloop`,
    ],
  });
});

after(async () => {
  await browser?.close();
  assert.equal(await server?.stop(), 0, "the server drains and ends with 0");
});

/** A user's token, as an app's own server signs it. */
function token() {
  const part = (/** @type {object} */ value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "u1", exp: Math.floor(Date.now() / 1000) + 600 })}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}

/** The one block of JavaScript that the README has about this socket. */
async function client() {
  const text = await readFile(README, "utf8");
  const block = text.match(/```js\n(\/\/ const socket = await talk[\s\S]*?)```/);
  assert.ok(block, "the README has the client");
  return block[1];
}

/** A page that may use the microphone. */
async function page() {
  const page = await browser.newPage({ permissions: ["microphone"] });
  await page.goto(`${server.url}/health`);
  return page;
}

test("the client of the README asks by microphone and plays the answer", async () => {
  const tab = await page();
  const heard = await tab.evaluate(async ([code, address, token]) => {
    /** @type {{ type: string, text?: string, status?: string }[]} */
    const messages = [];
    /** @type {number[]} */
    const played = [];
    const start = AudioBufferSourceNode.prototype.start;
    AudioBufferSourceNode.prototype.start = function (...when) {
      played.push(this.buffer?.duration ?? 0);
      return start.apply(this, when);
    };
    const talk = new Function(`${code}; return talk;`)();
    /** @type {(value: unknown) => void} */
    let done = () => {};
    const complete = new Promise((resolve) => { done = resolve; });
    const socket = await talk(address, token, (/** @type {{ type: string }} */ message) => {
      messages.push(message);
      if (message.type === "ai_response_complete" || message.type === "error") setTimeout(done, 300);
    });
    await complete;
    socket.close();
    return { messages, played };
  }, [await client(), `${server.url.replace("http", "ws")}/voice`, token()]);
  const types = heard.messages.map((message) => message.type);
  assert.ok(!types.includes("error"), JSON.stringify(heard.messages));
  for (const type of ["session_started", "audio_received", "final_transcript", "ai_thinking", "audio_chunk"]) {
    assert.ok(types.includes(type), `${type} in ${types}`);
  }
  assert.ok(!types.includes("tts_audio"), "the dialect that was not asked for");
  const complete = heard.messages.find((message) => message.type === "ai_response_complete");
  assert.equal(complete?.text, ANSWER);
  assert.equal(heard.played.length, types.filter((type) => type === "audio_chunk").length);
  // 30 ms a character, to within what an MP3 file has at its ends
  const expected = ANSWER.length * 0.03;
  const sum = heard.played.reduce((all, one) => all + one, 0);
  assert.ok(Math.abs(sum - expected) < 0.2, `${sum} s of ${expected} s`);
  await tab.close();
});

for (const format of ["mp3", "wav"]) {
  test(`an answer in ${format} plays by decodeAudioData and in <audio>, and is no silence`, async () => {
    const tab = await page();
    const found = await tab.evaluate(async ([address, token, format]) => {
      const socket = new WebSocket(address);
      const chunk = await new Promise((resolve, reject) => {
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === "connected") {
            socket.send(JSON.stringify({ type: "session_start", authToken: token, audioFormat: format }));
          } else if (message.type === "session_started") {
            resolve(message);
          } else if (message.type === "error") {
            reject(new Error(message.message));
          }
        };
      });
      const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
      const ears = new AudioContext({ sampleRate: 16000 });
      const tap = ears.createScriptProcessor(1024, 1, 1);
      tap.onaudioprocess = ({ inputBuffer }) => {
        const samples = Int16Array.from(inputBuffer.getChannelData(0), (x) => Math.max(-1, Math.min(1, x)) * 32767);
        if (socket.readyState === WebSocket.OPEN) socket.send(samples.buffer);
      };
      ears.createMediaStreamSource(microphone).connect(tap).connect(ears.destination);
      const audio = await new Promise((resolve) => {
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.type === "tts_audio") resolve(message);
        };
      });
      socket.close();
      const file = Uint8Array.from(atob(audio.audio), (letter) => letter.charCodeAt(0));
      const buffer = await ears.decodeAudioData(file.slice().buffer);
      const peak = Math.max(...buffer.getChannelData(0).map(Math.abs));
      // as the app does it: a blob that claims to be MP3, whatever it is
      const player = new Audio(URL.createObjectURL(new Blob([file], { type: "audio/mpeg" })));
      const ended = new Promise((resolve, reject) => {
        player.onended = () => resolve(player.duration);
        player.onerror = () => reject(new Error(`cannot play: ${player.error?.message}`));
      });
      await player.play();
      return {
        started: chunk.audioFormat, format: audio.format, text: audio.text, peak,
        decoded: buffer.duration, played: await ended,
      };
    }, [`${server.url.replace("http", "ws")}/voice`, token(), format]);
    assert.deepEqual([found.started, found.format], [format, format]);
    assert.equal(found.text, "It is sunny today.");
    const expected = found.text.length * 0.03;
    assert.ok(Math.abs(found.decoded - expected) < 0.1, `${found.decoded} s of ${expected} s`);
    assert.ok(Math.abs(found.played - expected) < 0.15, `${found.played} s of ${expected} s`);
    assert.ok(found.peak > 0.1, `peak ${found.peak}`);
    await tab.close();
  });
}
