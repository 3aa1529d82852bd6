// The page at `/`: talk to the server and see what it does.
// Wires the source of the voice, the socket, playback and the three displays together.

import { EventLog } from "./log.js";
import { Playback } from "./playback.js";
import { microphone, recording } from "./source.js";
import { Transcript } from "./transcript.js";
import { Waterfall } from "./waterfall.js";

/** @template {HTMLElement} T @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));
/** @type {HTMLInputElement} */ const keyField = element("key");
/** @type {HTMLSelectElement} */ const sourceField = element("source");
/** @type {HTMLInputElement} */ const fileField = element("file");
/** @type {HTMLButtonElement} */ const talkButton = element("talk");
/** @type {HTMLMeterElement} */ const levelMeter = element("level");

/** What to do about a microphone that cannot be opened, by the error's name. @type {Record<string, string>} */
const MICROPHONE_HINTS = {
  NotAllowedError: "The browser may not use the microphone: allow it in the address bar, or choose the sample question.",
  NotFoundError: "No microphone was found: connect one, or choose the sample question.",
  NotReadableError: "Another program is using the microphone: close it, or choose the sample question.",
};

/** The running conversation, if any. @type {Conversation | null} */
let running = null;

class Conversation {
  /** @param {string} key */
  constructor(key) {
    this.log = new EventLog(element("log"));
    this.transcript = new Transcript(element("transcript"));
    this.waterfall = new Waterfall(
      /** @type {HTMLTableSectionElement} */ (document.querySelector("#waterfall tbody")));
    this.playback = new Playback();
    /** @type {import("./source.js").Source | null} */
    this.source = null;
    const address = new URL("/v1/realtime?model=antiphon", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address, ["realtime", `openai-insecure-api-key.${key}`]);
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = (event) => stop(event.wasClean && event.code === 1000 ? "" : refusal(event));
  }

  /** @param {Record<string, any>} event */
  send(event) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.log.add("→", event);
    this.socket.send(JSON.stringify(event));
  }

  /** @param {Float32Array} frame 20 ms at 24 kHz */
  frame(frame) {
    let power = 0;
    const pcm = new DataView(new ArrayBuffer(frame.length * 2));
    frame.forEach((sample, i) => {
      power += sample * sample;
      pcm.setInt16(i * 2, Math.max(-1, Math.min(1, sample)) * 32_767, true);
    });
    const level = Math.sqrt(power / frame.length);
    levelMeter.value = Math.min(1, level * 4);
    this.waterfall.frame(level);
    this.send({ type: "input_audio_buffer.append", audio: base64(new Uint8Array(pcm.buffer)) });
  }

  /** @param {Record<string, any>} event */
  receive(event) {
    this.log.add("←", event);
    switch (event.type) {
      case "session.created":
        this.configure();
        break;
      case "session.updated":
        show("live", "Listening");
        void this.listen();
        break;
      case "input_audio_buffer.speech_started":
        this.interrupt();
        break;
      case "input_audio_buffer.speech_stopped":
        this.waterfall.decided();
        break;
      case "input_audio_buffer.committed":
        this.transcript.entry(event.item_id, "user");
        break;
      case "conversation.item.input_audio_transcription.completed":
        this.waterfall.mark("transcript");
        this.transcript.heard(event.item_id, event.transcript);
        break;
      case "conversation.item.input_audio_transcription.failed":
        notice(event.error.message);
        break;
      case "response.output_audio_transcript.delta":
        this.waterfall.mark("token");
        this.transcript.answered(event.item_id, event.delta);
        break;
      case "response.output_audio.delta": {
        this.waterfall.mark("audio");
        const inMs = this.playback.play(event.item_id, bytes(event.delta));
        this.waterfall.mark("heard", inMs);
        break;
      }
      case "response.done":
        if (event.response.status === "failed") notice(event.response.status_details.error.message);
        break;
      case "error":
        notice(event.error.message);
        break;
    }
  }

  configure() {
    const turns = /** @type {HTMLSelectElement} */ (element("turns")).value;
    const instructions = /** @type {HTMLTextAreaElement} */ (element("instructions")).value.trim();
    this.send({
      type: "session.update",
      session: {
        type: "realtime",
        ...(instructions && { instructions }),
        audio: {
          input: {
            transcription: { model: "whisper-1" },
            turn_detection: turns === "semantic" ? { type: "semantic_vad" }
              : { type: "server_vad", silence_duration_ms: Number(turns) },
          },
        },
      },
    });
  }

  async listen() {
    if (this.source) return;
    const onFrame = (/** @type {Float32Array} */ frame) => this.frame(frame);
    try {
      await this.playback.resume();
      const wanted = sourceField.value;
      if (wanted === "sample") {
        this.source = await recording(await (await fetch("sample.wav")).arrayBuffer(), onFrame);
      } else if (wanted === "file") {
        const file = fileField.files?.[0];
        if (!file) throw new Error("Choose an audio file first.");
        this.source = await recording(await file.arrayBuffer(), onFrame);
      } else {
        this.source = await microphone(wanted, onFrame);
        void listMicrophones();
      }
    } catch (error) {
      const hint = error instanceof DOMException ? MICROPHONE_HINTS[error.name] : undefined;
      stop(hint ?? String(error instanceof Error ? error.message : error));
    }
  }

  interrupt() {
    const cut = this.playback.interrupt();
    if (!cut) return;
    this.transcript.cut(cut.itemId);
    this.send({
      type: "conversation.item.truncate", item_id: cut.itemId, content_index: 0, audio_end_ms: cut.heardMs,
    });
  }

  close() {
    this.source?.stop();
    this.playback.close();
    this.socket.onclose = null;
    this.socket.close(1000);
  }
}

/** @param {CloseEvent} event */
function refusal(event) {
  return event.code === 1006 && running?.source == null
    ? "The server refused the connection: is the API key right?"
    : `The connection ended (${event.code}${event.reason && `: ${event.reason}`}).`;
}

/** @param {string} message empty when all is well */
function stop(message) {
  running?.close();
  running = null;
  talkButton.textContent = "Start talking";
  levelMeter.value = 0;
  show("idle", "Not connected");
  notice(message);
}

/** @param {string} message */
function notice(message) {
  element("notice").textContent = message;
}

/** @param {string} state @param {string} text */
function show(state, text) {
  const status = element("status");
  status.dataset.state = state;
  status.textContent = text;
}

async function listMicrophones() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const device of devices) {
    const known = [...sourceField.options].some((option) => option.value === device.deviceId);
    if (device.kind === "audioinput" && device.label && !known) {
      sourceField.add(new Option(device.label, device.deviceId), 1);
    }
  }
}

/** Tells which language model answers, and how to use a better one. */
async function tellMind() {
  const answer = await fetch("/info");
  if (answer.ok) element("mind").textContent = (await answer.json()).notice ?? "";
}

/** @param {Uint8Array} data */
function base64(data) {
  let text = "";
  for (const byte of data) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param {string} text */
function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

sourceField.addEventListener("change", () => { fileField.hidden = sourceField.value !== "file"; });
element("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) {
    stop("");
    return;
  }
  notice("");
  const key = keyField.value.trim();
  if (!key) {
    notice("Enter an API key: make run prints one.");
    keyField.focus();
    return;
  }
  talkButton.textContent = "Stop";
  show("busy", "Connecting…");
  running = new Conversation(key);
});

const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) {
  keyField.value = given;
  element("key-row").hidden = true;
  // the key leaves the address bar, so that it is not shared with a copied link
  history.replaceState(null, "", location.pathname);
}
void tellMind();
