// Cuts the microphone's samples into frames of 20 ms and posts them to the page.
// Runs on the audio thread: it copies and does nothing else.

const FRAME_MS = 20;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Float32Array((sampleRate * FRAME_MS) / 1000);
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const samples = inputs[0]?.[0];
    if (!samples) return true;
    for (const sample of samples) {
      this.frame[this.filled++] = sample;
      if (this.filled === this.frame.length) {
        this.port.postMessage(this.frame.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
