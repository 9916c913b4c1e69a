// Runs in the audio thread: microphone samples to 16-bit PCM, in blocks of about 40 ms, with their loudness.

const BLOCK = 2048;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.energy = 0;
    this.port.onmessage = () => this.flush(true);
  }

  process(inputs) {
    const channels = inputs[0];
    if (!channels.length) return true;
    for (let i = 0; i < channels[0].length; i++) {
      let sample = 0;
      for (const channel of channels) sample += channel[i] / channels.length;
      this.energy += sample * sample;
      this.block[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.filled === BLOCK) this.flush();
    }
    return true;
  }

  flush(last = false) {
    const block = this.block.slice(0, this.filled);
    const rms = Math.sqrt(this.energy / Math.max(1, this.filled));
    this.port.postMessage({ block, rms, last }, [block.buffer]);
    this.filled = 0;
    this.energy = 0;
  }
}

registerProcessor("recorder", Recorder);
