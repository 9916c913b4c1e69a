// The microphone through a WebSocket: PCM out, answers in.

import { Trouble, sentence } from "./api.js";
import { SERVER_GONE, microphoneTrouble } from "./words.js";

const FAR_BEHIND = 1 << 20; // bytes that wait to be sent: about ten seconds

/** One recording from the microphone, from `start` until `stop` or until something ends it. */
export class Live {
  /** `on.row(row)`, `on.level(rms)`, `on.end(trouble or null)`. */
  constructor(on) {
    this.on = on;
    this.blocks = [];
    this.rate = 0;
    this.nSamples = 0;
  }

  /** How much was said so far. */
  get seconds() {
    return this.nSamples / this.rate;
  }

  async start() {
    try {
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      this.media = await navigator.mediaDevices.getUserMedia({ audio: plain });
    } catch (error) {
      throw new Trouble(microphoneTrouble(error));
    }
    try {
      this.context = new AudioContext();
      this.rate = this.context.sampleRate;
      await this.context.audioWorklet.addModule("/page/recorder.js");
      await this.connect();
    } catch (error) {
      this.silence();
      throw error;
    }
    this.recorder = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    this.recorder.port.onmessage = ({ data }) => this.take(data);
    this.context.createMediaStreamSource(this.media).connect(this.recorder);
    this.media.getAudioTracks()[0].onended = () => this.stop();
    await this.context.resume();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/live?rate=${Math.round(this.rate)}`);
    this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data));
    return new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onclose = ({ code }) => {
        reject(new Trouble(SERVER_GONE));
        this.finish(code);
      };
    });
  }

  take({ block, rms, last }) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (block.length) {
      this.blocks.push(block);
      this.nSamples += block.length;
      this.socket.send(block);
    }
    if (last) this.socket.send("end");
    if (this.socket.bufferedAmount > FAR_BEHIND) this.fail("The server cannot keep up; the recording was stopped.");
    this.on.level(rms);
  }

  hear(message) {
    if (message.error) this.trouble = sentence(message.error);
    else this.on.row(message);
  }

  /** Send what is left and wait for the last answers; `on.end` follows. */
  stop() {
    if (this.ending) return;
    this.ending = true;
    this.media.getTracks().forEach((track) => track.stop());
    this.recorder.port.postMessage("flush");
  }

  fail(trouble) {
    this.trouble ??= trouble;
    this.socket.close();
  }

  finish(code) {
    this.silence();
    if (code === 1012) this.trouble ??= "The server was stopped.";
    else if (code !== 1000) this.trouble ??= SERVER_GONE;
    this.on.end(this.trouble ?? null);
  }

  silence() {
    this.media.getTracks().forEach((track) => track.stop());
    if (this.context && this.context.state !== "closed") this.context.close();
  }

  /** What was recorded, as a WAV file. */
  wav() {
    const n = this.nSamples;
    const view = new DataView(new ArrayBuffer(44));
    const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
    text(0, "RIFF"), view.setUint32(4, 36 + 2 * n, true), text(8, "WAVEfmt ");
    view.setUint32(16, 16, true), view.setUint16(20, 1, true), view.setUint16(22, 1, true);
    view.setUint32(24, this.rate, true), view.setUint32(28, 2 * this.rate, true);
    view.setUint16(32, 2, true), view.setUint16(34, 16, true), text(36, "data"), view.setUint32(40, 2 * n, true);
    return new Blob([view, ...this.blocks], { type: "audio/wav" });
  }
}
