// Plays the answer without gaps and knows how much of it was heard.
// Told what to play and when to stop; never talks to the server.

import { RATE_HZ } from "./source.js";

export class Playback {
  constructor() {
    this.context = new AudioContext({ sampleRate: RATE_HZ });
    /** Context time at which everything queued will have been played. */
    this.end = 0;
    /** @type {Set<AudioBufferSourceNode>} */
    this.queued = new Set();
    /** @type {{ itemId: string, start: number, seconds: number } | null} */
    this.item = null;
  }

  /** Browsers let a page make sound only after the user did something. */
  async resume() {
    if (this.context.state === "suspended") await this.context.resume();
  }

  /**
   * Queues PCM16 bytes of an item. Returns in how many ms they will be heard.
   * @param {string} itemId
   * @param {Uint8Array} bytes
   */
  play(itemId, bytes) {
    const pcm = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const buffer = this.context.createBuffer(1, bytes.byteLength >> 1, RATE_HZ);
    const channel = buffer.getChannelData(0);
    for (let i = 0; i < channel.length; i++) channel[i] = pcm.getInt16(i * 2, true) / 32_768;
    const node = new AudioBufferSourceNode(this.context, { buffer });
    node.connect(this.context.destination);
    const now = this.context.currentTime;
    const at = Math.max(now + 0.005, this.end);
    node.start(at);
    node.onended = () => this.queued.delete(node);
    this.queued.add(node);
    this.end = at + buffer.duration;
    if (this.item?.itemId !== itemId) this.item = { itemId, start: at, seconds: 0 };
    this.item.seconds += buffer.duration;
    return (at - now + (this.context.outputLatency || 0)) * 1000;
  }

  /**
   * Stops at once. Returns the item that was cut off and how many ms of it were heard, or null when nothing was playing.
   * @returns {{ itemId: string, heardMs: number } | null}
   */
  interrupt() {
    const now = this.context.currentTime;
    const item = this.item;
    const playing = this.end > now;
    for (const node of this.queued) node.stop();
    this.queued.clear();
    this.end = now;
    this.item = null;
    if (!item || !playing) return null;
    const heard = Math.min(Math.max(now - item.start, 0), item.seconds);
    return { itemId: item.itemId, heardMs: Math.floor(heard * 1000) };
  }

  close() {
    void this.context.close();
  }
}
