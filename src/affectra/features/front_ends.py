"""Front ends by name.

A front end is a module with `sample_rate`, `n_features`, `n_frames(n_samples)`, `frames(waveform)` (computed once per
utterance and cached) and `forward(segments, n_frames)` (what is done per segment, on the training device); also
`hop_length` and `window_length` in samples, both None where a sound of any length gives one vector. It may have
parameters, which are trained with the network. One with `modality = "text"` takes words: `frames(text)` gives a
row a token, and a token counts as a millisecond.
"""

from affectra.features.audio.functionals import Functionals
from affectra.features.audio.mel import LogMel, Mfcc
from affectra.features.audio.spectrogram import Spectrogram
from affectra.features.audio.views import UtteranceViews
from affectra.features.audio.voice import VoiceStatistics
from affectra.features.audio.waveform import Waveform
from affectra.features.leaf.frames import FixedLeaf
from affectra.features.leaf.learned import LearnedLeaf
from affectra.features.text.hashed_words import HashedWords
from affectra.features.text.transformer_text import TransformerText
from affectra.features.text.word_vector_frames import WordVectorFrames
from affectra.registry import Registry

FRONT_ENDS: Registry = Registry("front end")
FRONT_ENDS.register("spectrogram")(Spectrogram)
FRONT_ENDS.register("functionals")(Functionals)
FRONT_ENDS.register("log-mel")(LogMel)
FRONT_ENDS.register("mfcc")(Mfcc)
FRONT_ENDS.register("leaf")(FixedLeaf)
FRONT_ENDS.register("waveform")(Waveform)
FRONT_ENDS.register("voice-statistics")(VoiceStatistics)
FRONT_ENDS.register("utterance-views")(UtteranceViews)
FRONT_ENDS.register("learned-leaf")(LearnedLeaf)
FRONT_ENDS.register("hashed-words")(HashedWords)
FRONT_ENDS.register("word-vectors")(WordVectorFrames)
FRONT_ENDS.register("transformer-text")(TransformerText)
