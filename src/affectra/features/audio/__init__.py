"""Front ends of sound: spectrograms, mel bands, functionals, statistics of the voice, the waveform itself."""
