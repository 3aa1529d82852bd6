// Where the caller's voice comes from: a microphone, or a file played in real time.
// Both give frames of 20 ms at 24 kHz to the same callback. Nothing is sent from here.

export const RATE_HZ = 24_000;
const FRAME_SAMPLES = RATE_HZ / 50;

/** @typedef {{ stop: () => void, finished: Promise<void> }} Source */
/** @typedef {(frame: Float32Array) => void} OnFrame */

/**
 * Opens a microphone; the browser resamples to 24 kHz and removes the echo of the answer.
 * @param {string} deviceId empty for the default one
 * @param {OnFrame} onFrame
 * @returns {Promise<Source>}
 */
export async function microphone(deviceId, onFrame) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: {
      deviceId: deviceId ? { exact: deviceId } : undefined,
      channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true,
    },
  });
  const context = new AudioContext({ sampleRate: RATE_HZ });
  await context.audioWorklet.addModule("capture.worklet.js");
  const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
  capture.port.onmessage = (message) => onFrame(message.data);
  context.createMediaStreamSource(stream).connect(capture);
  return {
    finished: new Promise(() => {}),
    stop() {
      for (const track of stream.getTracks()) track.stop();
      void context.close();
    },
  };
}

/**
 * Plays a recording as if it were spoken now; silence follows until stopped, as a microphone would give.
 * @param {ArrayBuffer} bytes any format the browser decodes
 * @param {OnFrame} onFrame
 * @returns {Promise<Source>}
 */
export async function recording(bytes, onFrame) {
  const decoded = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(bytes);
  const offline = new OfflineAudioContext(1, Math.ceil(decoded.duration * RATE_HZ), RATE_HZ);
  const node = new AudioBufferSourceNode(offline, { buffer: decoded });
  node.connect(offline.destination);
  node.start();
  const samples = (await offline.startRendering()).getChannelData(0);
  const began = performance.now();
  let sent = 0;
  /** @type {() => void} */
  let finish = () => {};
  const finished = new Promise((resolve) => { finish = () => resolve(undefined); });
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000) * RATE_HZ;
    while (sent + FRAME_SAMPLES <= due) {
      const frame = new Float32Array(FRAME_SAMPLES);
      frame.set(samples.subarray(sent, sent + FRAME_SAMPLES));
      onFrame(frame);
      sent += FRAME_SAMPLES;
      if (sent >= samples.length) finish();
    }
  }, 10);
  return { finished, stop: () => clearInterval(timer) };
}
