"""Emotion in one's own recordings, from a model alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from affectra.audio import blocks, probe, quality_flags, to_mono
from affectra.audio.speech_track import SpeechTrack, TracksSpeech
from affectra.errors import AudioError, CheckpointError, ConfigError
from affectra.features.description import FILE, WEIGHTS, folders_of, kinds_at
from affectra.features.frames.spectral import Array
from affectra.features.specification import UtteranceOutput
from affectra.predict.calibration.files import read_calibration
from affectra.predict.calibration.scaling import Calibration
from affectra.predict.enrolment import Enrolment, enrol
from affectra.predict.onnx import GRAPH, OnnxRecognizer
from affectra.predict.stream import Stream
from affectra.predict.windows import Recognizes, RecordingOutput, Window, recognize_windows, window_output, windowing_of
from affectra.registry import unknown_name

BLOCK_S = 10.0  # of a waveform that a stream takes at a time
UNKNOWN = "unknown"
DIMENSIONS: tuple[Literal["arousal", "valence"], ...] = ("arousal", "valence")
NOTHING_TO_HEAR = {"silent", "no_speech"}
SHIPPED = Path(__file__).parents[1] / "shipped"


@dataclass(frozen=True)
class Prediction:
    """Prediction for a recording or a window of it.

    Attributes:
        start: where it starts, s.
        end: where it ends, s.
        emotion: the most probable class, or "unknown" where the model abstains.
        confidence: that class's probability.
        scores: probability of each class offered; they sum to 1.
        flags: of too_short, silent, clipped, truncated, no_speech, out_of_domain.
        arousal: probability of high arousal, None if the model has none.
        valence: probability of positive valence, None if the model has none.
    """

    start: float
    end: float
    emotion: str
    confidence: float
    scores: dict[str, float]
    flags: tuple[str, ...]
    arousal: float | None = field(default=None)
    valence: float | None = field(default=None)


TrackSpeech = Callable[[int], TracksSpeech]  # of a sample rate, Hz


class Model:
    """A recogniser whose probabilities are calibrated.

    Args:
        recognizer: of utterances.
        name: what it is called in messages.
        calibration: fitted on out-of-fold predictions, if any.
        card: what its makers say of it, in Markdown, if anything.
        track_speech: gives what tells speech from other sound; without it nothing is flagged as `no_speech`.
        enrolment: to whose voice it is adapted, if to anyone's.

    Attributes:
        classes: in the order of the scores.
        sample_rate: of its input, Hz; any rate may come in.
        synthetic: whether it was trained on synthetic speech alone.
        licence: of the model, None if it says nothing of one.
    """

    def __init__(
        self,
        recognizer: Recognizes,
        name: str,
        calibration: Calibration | None = None,
        *,
        card: str | None = None,
        track_speech: TrackSpeech | None = None,
        enrolment: Enrolment | None = None,
    ) -> None:
        self.recognizer, self.name, self.card, self._track_speech = recognizer, name, card, track_speech
        self.calibration, self.enrolment = calibration or Calibration(1.0), enrolment
        self.sample_rate, self._windowing = recognizer.sample_rate, windowing_of(recognizer.specification)
        self.classes = recognizer.specification.classes
        self.synthetic = recognizer.specification.synthetic
        self.licence: str | None = recognizer.specification.provenance.get("licence")

    @classmethod
    def from_pretrained(cls, name_or_dir: str | Path) -> "Model":
        """The same as `load`."""
        return load(name_or_dir)

    def __call__(
        self, audio: npt.NDArray[np.generic], sample_rate: int, *, classes: Sequence[str] = (), abstain: bool = True
    ) -> Prediction:
        """Recognise a waveform (sample,) or (sample, channel), in [-1, 1].

        Args:
            audio: the samples.
            sample_rate: theirs, Hz.
            classes: offer these alone; default all.
            abstain: answer "unknown" where there is no speech or the model is not sure enough.
        """
        audio = np.asarray(audio)
        mono = to_mono(audio, sample_rate, self.sample_rate)
        output = self._recognize([mono])
        return self._prediction(output, 0.0, quality_flags(audio, sample_rate), self.offered(classes), abstain)

    def recognize_file(self, path: str | Path, *, classes: Sequence[str] = (), abstain: bool = True) -> Prediction:
        """Recognise a recording of any format, rate, channels and length, in bounded memory.

        Up to `windowing_of` the model it is recognised as one utterance, as in training; a longer one in windows that
        overlap, whose answers are averaged.

        Raises:
            AudioError: it cannot be read.
        """
        stream = blocks(path, self.sample_rate, allow_truncated=True)
        output = self._recognize(stream)
        return self._prediction(output, 0.0, stream.flags, self.offered(classes), abstain)

    def timeline(
        self, audio: npt.NDArray[np.generic], sample_rate: int, *, classes: Sequence[str] = (), abstain: bool = True
    ) -> list[Prediction]:
        """One prediction each second, as `Stream` gives them live; arguments as of a call."""
        audio = np.asarray(audio)
        step = round(BLOCK_S * sample_rate)
        quality_flags(audio[:step] if audio.ndim else audio, sample_rate)  # refuses what is no sound before it is cut
        pieces = (audio[i : i + step] for i in range(0, len(audio), step))
        return self._listen(pieces, sample_rate, classes, abstain)

    def timeline_of_file(
        self, path: str | Path, *, classes: Sequence[str] = (), abstain: bool = True
    ) -> list[Prediction]:
        """As `timeline`, of a recording; the last window has the flag of one that is cut off.

        Raises:
            AudioError: it cannot be read.
        """
        rate = probe(path).sample_rate
        stream = blocks(path, rate, allow_truncated=True)
        predictions = self._listen(stream, rate, classes, abstain)
        if "truncated" in stream.flags:
            predictions[-1] = replace(predictions[-1], flags=tuple(sorted({*predictions[-1].flags, "truncated"})))
        return predictions

    def _listen(
        self, pieces: Iterable[npt.NDArray[np.generic]], sample_rate: int, classes: Sequence[str], abstain: bool
    ) -> list[Prediction]:
        live = Stream(self, sample_rate, classes=classes, abstain=abstain)
        predictions = [prediction for piece in pieces for prediction in live.feed(piece)] + live.finish()
        if not predictions:
            raise AudioError(f"too short, not one sample is left at {self.sample_rate} Hz")
        return predictions

    def track_speech(self) -> TracksSpeech | None:
        """Start a tracker of how much of a sound at the model's rate is speech; None: all of it counts as speech."""
        return None if self._track_speech is None else self._track_speech(self.sample_rate)

    def predict_window(
        self, window: Window, output: UtteranceOutput, *, offered: Sequence[str], abstain: bool
    ) -> Prediction:
        """Give the prediction for a window that was recognised.

        Args:
            window: of a sound.
            output: of the recogniser for its samples.
            offered: as `offered` gives them.
            abstain: answer "unknown" where there is no speech or the model is not sure enough.
        """
        whole = window_output(window, output, self.sample_rate)
        return self._prediction(whole, window.start, window.flags, offered, abstain)

    def enrolled(self, paths: Iterable[str | Path]) -> "Model":
        """This model adapted to one person's voice.

        Args:
            paths: recordings of that person speaking neutrally, three or more.

        Raises:
            AudioError: one cannot be read.
            ConfigError: there is none, or the model was not calibrated for it.
        """
        clips = [self._recognize(blocks(path, self.sample_rate)) for path in paths]
        scores = np.array([self._calibrated(clip) for clip in clips])
        dimensions: dict[str, tuple[list[float], float | None]] = {}
        for name, fitted in (("arousal", self.calibration.arousal), ("valence", self.calibration.valence)):
            if fitted is not None and all(name in clip.auxiliary for clip in clips):
                found = [float(fitted.apply(clip.auxiliary[name])) for clip in clips]
                dimensions[name] = found, fitted.neutral
        person = enrol(scores, self.calibration.neutral, self.classes, f"model {self.name}", dimensions)
        adapted = copy(self)
        adapted.enrolment = person
        return adapted

    def _recognize(self, pieces: Iterable[Array]) -> RecordingOutput:
        return recognize_windows(self.recognizer, pieces, self.track_speech(), self._windowing)

    def _calibrated(self, output: RecordingOutput) -> npt.NDArray[np.float64]:
        """Calibrated probabilities (class,) of a sound, of anyone's voice."""
        distance = distance_of(self.calibration, output.embeddings, output.weights, self.name)
        return calibrated(self.calibration, output.probabilities, distance, self.name)

    def _prediction(
        self, output: RecordingOutput, start: float, flags: Sequence[str], offered: Sequence[str], abstain: bool
    ) -> Prediction:
        scores = self._calibrated(output)
        if self.enrolment is not None:
            scores = self.enrolment.apply(scores)
        offers = scores_of(scores, self.classes, offered)
        emotion = max(offers, key=offers.__getitem__)
        found = {*flags, *output.flags}
        if self.calibration.is_out_of_domain(output.embeddings, output.weights):
            found.add("out_of_domain")
        unknown = abstain and (bool(found & NOTHING_TO_HEAR) or self.calibration.abstains(offers[emotion]))
        dimensions = {name: self._dimension(name, output.auxiliary) for name in DIMENSIONS}
        return Prediction(
            start=start,
            end=start + output.duration_s,
            emotion=UNKNOWN if unknown else emotion,
            confidence=offers[emotion],
            scores=offers,
            flags=tuple(sorted(found)),
            **dimensions,
        )

    def _dimension(self, name: Literal["arousal", "valence"], auxiliary: Mapping[str, float]) -> float | None:
        """The calibrated probability of the high side, for the person enrolled if any; None if the model has none."""
        if name not in auxiliary:
            return None
        probability = self.calibration.apply_binary(name, auxiliary[name])
        return probability if self.enrolment is None else self.enrolment.apply_binary(name, probability)

    def offered(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The classes asked for, in the model's order; all when none is named.

        Raises:
            ConfigError: one the model does not have.
        """
        return offered_classes(classes, self.classes, self.name)


def distance_of(
    calibration: Calibration,
    embeddings: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64] | None,
    name: str,
) -> float:
    """How far a sound is from what a model was trained on; arguments as of `Calibration.distance`.

    Raises:
        CheckpointError: the calibration is another model's; `name` names it.
    """
    space = calibration.space
    if space is not None and space.means.shape[1] != embeddings.shape[-1]:
        raise CheckpointError(f"model {name}: its calibration.json belongs to another model; export it again")
    return calibration.distance(embeddings, weights)


def calibrated(
    calibration: Calibration, probabilities: npt.NDArray[np.float64], distance: float, name: str
) -> npt.NDArray[np.float64]:
    """Calibrated probabilities (class,) of a model.

    Args:
        calibration: the model's.
        probabilities: (class,).
        distance: as of `distance_of`.
        name: the model's, for messages.

    Raises:
        CheckpointError: they are no numbers.
    """
    if not np.isfinite(probabilities).all():
        raise CheckpointError(f"model {name}: its scores are no numbers; the weights are damaged")
    return calibration.apply(probabilities, distance)


def scores_of(
    probabilities: npt.NDArray[np.float64], classes: Sequence[str], offered: Sequence[str]
) -> dict[str, float]:
    """Probabilities (class,) by the name of the classes offered, which sum to 1.

    Example:
        >>> scores_of(np.array([0.5, 0.25, 0.25]), ["a", "b", "c"], ["b", "c"])
        {'b': 0.5, 'c': 0.5}
    """
    kept = probabilities[[classes.index(name) for name in offered]]
    return {name: float(p) for name, p in zip(offered, kept / kept.sum(), strict=True)}


def offered_classes(wanted: Sequence[str], classes: Sequence[str], name: str) -> tuple[str, ...]:
    """The classes asked for, in the model's order; all when none is named.

    Args:
        wanted: by the user.
        classes: the model's.
        name: the model's, for messages.

    Raises:
        ConfigError: one the model does not have.
    """
    for one in wanted:
        if one not in classes:
            raise ConfigError(f"model {name}: " + unknown_name("class", one, classes))
    return tuple(one for one in classes if not wanted or one in wanted)


def load(name_or_dir: str | Path) -> Model:
    """Load a model: a shipped one by name, an exported one, a run directory (its folds are averaged), or a fold of one.

    An exported model is run by ONNX Runtime where that is installed; torch is then not needed.

    Raises:
        CheckpointError: no such model, or a damaged one.
    """
    path = folder_of(name_or_dir)
    card = path / "MODEL_CARD.md"
    return Model(
        _recognizer(path),
        path.name,
        read_calibration(path),
        card=card.read_text(encoding="utf-8") if card.is_file() else None,
        track_speech=SpeechTrack,
    )


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(found.parent.name for found in SHIPPED.glob(f"*/{FILE}"))


def folder_of(name_or_dir: str | Path) -> Path:
    """The folder of a shipped model, or the one that is given.

    Raises:
        CheckpointError: there is no such folder.
    """
    known = shipped_models()
    if name_or_dir in known:
        return SHIPPED / name_or_dir
    path = Path(name_or_dir)
    if path.is_dir():
        return path
    message = f"{path}: no such folder; give a run directory or a folder with {FILE}"
    if isinstance(name_or_dir, str) and known and path.name == name_or_dir:
        message += f", or a shipped model: {unknown_name('model', name_or_dir, known)}"
    raise CheckpointError(message)


def _recognizer(path: Path) -> Recognizes:
    has_weights = (path / WEIGHTS).is_file()
    if (path / GRAPH).is_file() and (find_spec("onnxruntime") is not None or not has_weights):
        return OnnxRecognizer(path)
    from affectra.models.recognizer import load_networks  # torch takes seconds to import
    from affectra.predict.torch_folds import TorchRecognizer

    recognizers = [network for folder in folders_of("utterance", path) for network in load_networks(folder)]
    if not recognizers:
        kinds = kinds_at(path)
        if "dialogue" in kinds:
            raise CheckpointError(
                f"{path}: a model of conversations, which recognises no recording by itself; give the turns to "
                "`affectra predict --dialogue`, or choose a model of utterances"
            )
        if "time" in kinds:
            why = "a model over time, which gives no classes; `affectra predict` takes it, in Python `affectra.load`"
            raise CheckpointError(f"{path}: {why}")
        raise CheckpointError(f"{path}: no finished fold here; expected seed-*/fold-*/{FILE} or {FILE}")
    if getattr(recognizers[0].front_end, "modality", "audio") != "audio":
        raise CheckpointError(
            f"{path}: reads text, not recordings; give its whole fold to `affectra predict --dialogue`"
        )
    return TorchRecognizer(recognizers)


def as_row(file: str, prediction: Prediction) -> dict[str, Any]:
    """The fields that `affectra predict` prints for a prediction."""
    scores = {f"score_{name}": round(p, 6) for name, p in prediction.scores.items()}
    return {
        "file": file,
        "start": round(prediction.start, 3),
        "end": round(prediction.end, 3),
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 6),
        **scores,
        "arousal": None if prediction.arousal is None else round(prediction.arousal, 6),
        "valence": None if prediction.valence is None else round(prediction.valence, 6),
        "flags": ";".join(prediction.flags),
    }
