"""Recognisers of the Hugging Face hub, by name or local directory: CTC models (wav2vec 2.0, HuBERT) and Whisper."""

import hashlib
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.audio import quality_flags, to_mono
from affectra.errors import ConfigError, require_extra
from affectra.text.asr.words import Transcript, Word
from affectra.text.hub import read_model

_VERSION = "1"  # raise it when the same samples would give other words
_SHORTEST_S = 0.1  # ours: shorter samples are filled up with zeros, since convolutions want 25 ms and more
_LONGEST_S = 30.0  # recognised at once; Whisper's own limit, and memory grows with the square of it
_UNUSED = "masked_spec_embed"  # for training alone; published models lack it, and then it is random


class HuggingFaceAsr:
    """A pretrained recogniser, on the GPU where there is one.

    Weights are read from safetensors alone, and no code of a hub is run. CTC models give the times of each word, by the
    most likely unit of each frame; of others there is the text alone. What is longer than 30 s is recognised in parts
    that overlap (CTC) or follow each other (Whisper).

    Args:
        model: a directory or a name on the Hugging Face hub.

    Raises:
        ConfigError: transformers is not installed, or there is no such model, or it is no recogniser.
    """

    def __init__(self, *, model: str) -> None:
        require_extra("transformers", "text", "the recogniser hugging-face")
        self._pipeline = _load(model)
        self._is_ctc = self._pipeline.type == "ctc"
        self.sample_rate: int = self._pipeline.feature_extractor.sampling_rate

    @property
    def version(self) -> str:
        """As of `Recognizer`: a model may change under the same name."""
        parts = self._pipeline
        settings = [parts.feature_extractor.to_json_string(), json.dumps(parts.tokenizer.get_vocab(), sort_keys=True)]
        if (generation := getattr(parts.model, "generation_config", None)) is not None:
            settings.append(generation.to_json_string())
        digest = hashlib.sha256("\n".join(settings).encode())
        for name, tensor in sorted(parts.model.state_dict().items()):
            if not name.endswith(_UNUSED):
                digest.update(name.encode())
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return f"{_VERSION}-transformers-{version('transformers')}-{digest.hexdigest()}"

    def transcribe(self, samples: npt.NDArray[np.floating], sample_rate: int) -> Transcript:
        """Recognise the words; nothing in silence (see `affectra.audio.quality_flags`), in which Whisper finds some.

        Args:
            samples: (sample,) or (sample, channel), full scale 1.
            sample_rate: Hz; resampled to the model's own.

        Raises:
            AudioError: samples that are no audio.
        """
        mono = to_mono(samples, sample_rate, self.sample_rate)
        if "silent" in quality_flags(mono, self.sample_rate):
            return Transcript()
        duration_s = len(mono) / self.sample_rate
        mono = np.pad(mono, (0, max(0, round(_SHORTEST_S * self.sample_rate) - len(mono))))
        settings: dict[str, Any] = {"return_timestamps": "word"} if self._is_ctc else {}
        if duration_s > _LONGEST_S:
            settings |= {"chunk_length_s": _LONGEST_S} if self._is_ctc else {"return_timestamps": True}
        with _quiet():
            result = self._pipeline({"raw": mono, "sampling_rate": self.sample_rate}, **settings)
        words = [
            Word(chunk["text"], round(float(start), 4), round(min(float(end), duration_s), 4))
            for chunk in (result["chunks"] if self._is_ctc else [])
            for start, end in [chunk["timestamp"]]
            if start < duration_s
        ]
        text = " ".join(word.word for word in words) if self._is_ctc else " ".join(result["text"].split())
        return Transcript(text, tuple(words))


def _load(model: str) -> Any:
    """The model and what feeds it, as a pipeline of transformers."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    try:
        network, feature_extractor, tokenizer, missing = read_model(model, lambda is_local: _read(model, is_local))
    except (OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"hugging-face: {model!r} is neither a directory nor a hub name with a recogniser in safetensors that can "
            f"be read here: {reason}"
        ) from error
    if missing:
        raise ConfigError(
            f"hugging-face: {model} lacks {len(missing)} of its weights, such as {missing[0]}; expected a model that "
            "was fine-tuned to recognise words"
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with _quiet():
        return transformers.AutomaticSpeechRecognitionPipeline(
            model=network.eval(), feature_extractor=feature_extractor, tokenizer=tokenizer, device=device
        )


def _read(model: str, is_local: bool) -> tuple[Any, Any, Any, list[str]]:
    """The network, what feeds it, its units, and the weights that it lacks; the hub is asked unless `is_local`."""
    torch, transformers = importlib.import_module("torch"), importlib.import_module("transformers")
    given: dict[str, Any] = {"local_files_only": is_local, "trust_remote_code": False}
    config = transformers.AutoConfig.from_pretrained(model, **given)
    if type(config) in transformers.MODEL_FOR_CTC_MAPPING:
        loader = transformers.AutoModelForCTC
    elif type(config) in transformers.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING:
        loader = transformers.AutoModelForSpeechSeq2Seq
    else:
        raise ConfigError(f"hugging-face: {model} is a {config.model_type}; expected one like wav2vec 2.0 or Whisper")
    feature_extractor = transformers.AutoFeatureExtractor.from_pretrained(model, **given)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model, **given)
    with _quiet():
        network, found = loader.from_pretrained(
            model, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **given
        )
    missing = sorted(name for name in found["missing_keys"] if not name.endswith(_UNUSED))
    return network, feature_extractor, tokenizer, missing


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no talk of the package; what is missing is an error."""
    messages = importlib.import_module("transformers.utils.logging")
    level, has_bar = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if has_bar:
            messages.enable_progress_bar()
