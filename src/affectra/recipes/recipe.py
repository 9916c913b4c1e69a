"""The schema of recipes: strict pydantic models, one for each unit that a run learns over.


What has a default may be left out. Defaults that depend on another part, as the segments on the front end, are in
`usual.py`. What decides what is learnt from what has none: a front end, a model, a name.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from affectra.recipes import usual


class Strict(BaseModel):
    """No unknown key, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _completed(given: Any, complete: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Any:
    """The given value, completed by the usual ones where it is a mapping."""
    return complete(given) if isinstance(given, Mapping) else given


class Named(Strict):
    """A part with a name; where nothing else is given, the name may stand alone."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class Component(Named):
    """A registered name and the options its constructor takes."""

    options: dict[str, Any] = {}


FOLDS = Component(name="kfold-speaker")
SESSIONS = Component(name="losession")
ADAM = Component(name="adam", options={"lr": 1.0e-3})


class Paper(Strict):
    """The published result a run stands beside: fractions, on exactly these corpora, task, protocol and utterances.

    `utterances`: how many of each corpus, where the paper says so.
    """

    title: str
    authors: str
    venue: str
    year: int
    corpora: list[str]
    task: str
    protocol: str
    utterances: dict[str, int] = {}
    results: dict[str, float]
    source: str


class Augmentation(Strict):
    """Augmented copies of each training utterance, made once and cached; see `affectra.audio.augment`.

    The defaults are those of `utterance-views`.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    copies: int = Field(default=3, gt=0, le=100)
    stretch_s: tuple[Annotated[float, Field(ge=0.1)], float] = (60.0, 60.0)  # length of what is cut out, at random
    speed: float = Field(default=0.08, ge=0, lt=1)  # at most so much faster or slower
    tilt_db: float = Field(default=1.0, ge=0)  # an octave, deviation
    equalizer_db: float = Field(default=1.0, ge=0)  # deviation
    reverb_share: float = Field(default=0.3, ge=0, le=1)  # of the copies
    noise_share: float = Field(default=0.5, ge=0, le=1)
    snr_db: tuple[float, float] = (10.0, 30.0)
    band_share: float = Field(default=0.1, ge=0, le=1)

    @field_validator("stretch_s", "snr_db", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        return tuple(float(v) for v in value) if isinstance(value, list) and len(value) == 2 else value

    @field_validator("stretch_s", "snr_db")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the lower one comes first")
        return value


class SegmentPlan(Strict):
    """Segments of an utterance: length and shifts in s; `frames` is the width of the network's input, zero-padded.

    Without `frames` the input is as wide as the longest segment of a batch. A token of text counts as a millisecond.
    """

    length_s: float = Field(gt=0, le=3600)
    frames: int | None = Field(gt=0, le=1_000_000)
    train_shift_s: float = Field(gt=0, le=3600)
    test_shift_s: float = Field(gt=0, le=3600)


class Schedule(Named):
    """Learning rate over epochs.

    "constant"; "step": multiplied by `factor` from each of the epochs in `milestones` on (the first epoch is 1);
    "cosine": from the full rate to zero after the last epoch. During the first `warmup_epochs` the rate also rises in
    proportion to the steps done.
    """

    name: Literal["constant", "step", "cosine"]
    milestones: list[int] = []
    factor: float = 1.0
    warmup_epochs: float = Field(default=0.0, ge=0)


class TrainingPlan(Strict):
    """How a model is trained; the defaults are ours.

    Parts of a model are named as in its code: "front_end", "network", a layer as "network.cnn", or several layers of a
    list as "network.layers.0-3".
    """

    epochs: int = Field(default=30, gt=0)
    batch_size: int = Field(default=32, gt=0)  # segments
    optimizer: Annotated[Component, BeforeValidator(usual.named("adam"))] = ADAM
    schedule: Annotated[Schedule, BeforeValidator(usual.named("cosine"))] = Schedule(name="cosine")
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    channels_last: bool = False
    objective: Annotated[Component, BeforeValidator(usual.named("cross-entropy"))] = Component(name="cross-entropy")
    unlabelled_batch_size: int = Field(default=0, ge=0)  # utterances of corpora that are tested alone, unlabelled
    freeze: list[str] = []  # parts that stay as they are
    rates: dict[str, Annotated[float, Field(gt=0)]] = {}  # part -> factor of the learning rate
    take: list[str] = []  # parts that start from the stage before; none named: all of them
    clip_norm: float | None = Field(default=None, gt=0)  # of all gradients together
    keep: Literal["last", "best-dev"] = "last"  # weights of the last epoch, or of the best one on the dev part


class Stage(Strict):
    """Training before the last one, which gives it the weights to start from.

    `data`: "pretraining", the corpora that only this is for, once for all folds of a seed; "train", the fold's own.
    """

    name: str = Field(pattern="^[a-z][a-z0-9-]*$")
    data: Literal["pretraining", "train"]
    training: TrainingPlan = TrainingPlan()


class Pretraining(Strict):
    """Corpora that are learnt from and never tested, and the task that gives them the classes of the run."""

    corpora: list[str] = Field(min_length=1)
    task: str


class Study(Strict):
    """The part that all recipes have: which corpora, which task, which folds, how many seeds."""

    name: str
    description: str = ""
    paper: Paper | None = None
    corpora: list[str] = ["synthetic"]  # the embedded corpus, until one has another one
    task: str = "emotion"  # all classes of the corpus
    only: dict[str, list[str]] = {}  # manifest column -> the values that take part
    protocol: Annotated[Component, BeforeValidator(usual.named("kfold-speaker"))] = FOLDS
    allow_leak: list[str] = []  # kinds of leakage that the protocol is known to have
    seeds: int = Field(default=1, gt=0)
    variants: dict[Annotated[str, Field(pattern="^[a-z0-9][a-z0-9.-]*$")], dict[str, Any]] = {}  # a run of each,
    # in a folder of its name: name -> dotted key -> value

    @model_validator(mode="before")
    @classmethod
    def _describe(cls, given: Any) -> Any:
        return _completed(given, lambda known: {"description": usual.usual_description(known), **known})

    @field_validator("only", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, only: Any) -> Any:
        if not isinstance(only, dict):
            return only
        return {column: [values] if isinstance(values, str) else values for column, values in only.items()}

    @property
    def trainings(self) -> list["TrainingPlan"]:
        """Every training of the recipe."""
        raise NotImplementedError

    @property
    def reads_dev(self) -> bool:
        """Whether something is decided by a dev part where there is one; a curve that is drawn decides nothing."""
        return self.needs_dev

    @property
    def needs_dev(self) -> bool:
        """Whether something is decided by a dev part that could not be decided without one."""
        return any(training.keep == "best-dev" for training in self.trainings)


class Recipe(Study):
    """Everything a run over utterances does, apart from where the corpora lie."""

    unit: Literal["utterance"] = "utterance"
    auxiliary: list[str] = []  # binary tasks, arousal and valence, learnt beside the classes
    augmentation: Augmentation | None = None
    segments: SegmentPlan | None  # none where the front end gives one vector an utterance
    loudness: float | None = Field(default=None, ge=-70, le=0)  # LUFS, each utterance is brought to it; none: as it is
    front_end: Component
    normalization: Literal["none", "utterance", "train", "speaker", "corpus"]
    model: Component
    pretraining: Pretraining | None = None
    stages: list[Stage] = []  # before `training`, in order; those on the pretraining corpora first
    training: TrainingPlan | None  # none where the model is fitted without epochs

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return _completed(given, usual.of_utterances)

    @property
    def trainings(self) -> list[TrainingPlan]:
        """Every training of the recipe."""
        return [*(stage.training for stage in self.stages), *([self.training] if self.training else [])]


class Modality(Strict):
    """How the turns of a dialogue are recognised one by one in one modality; what embeds them for what follows."""

    segments: SegmentPlan
    front_end: Component
    normalization: Literal["none", "utterance", "train"]
    model: Component
    training: TrainingPlan = TrainingPlan()

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return _completed(given, usual.of_turns)


class Head(Strict):
    """A network over the turns of a dialogue, on embeddings that stay as they are."""

    model: Component
    training: TrainingPlan

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return _completed(given, usual.of_head)


class Transcripts(Strict):
    """Where the words of the text modality come from, if not from the corpus.

    `used`: "test", a model trained on the corpus's own transcripts meets these; "always", in training too; "missing",
    in both, where the corpus has no text of a turn, and what it has stays.
    """

    source: Component
    used: Literal["test", "always", "missing"] = "test"


class DialogueRecipe(Study):
    """Everything a run over dialogues does: turns by modality, their context, and the modalities together."""

    unit: Literal["dialogue"]
    protocol: Annotated[Component, BeforeValidator(usual.named("losession"))] = SESSIONS  # dialogues stay whole
    modalities: dict[str, Modality] = Field(min_length=1)
    context: Head | None  # one a modality; none leaves each turn by itself
    fusion: Head | None  # none where there is one modality
    transcripts: Transcripts | None = None
    withheld: list[str] = []  # modalities that the test part lacks

    @property
    def trainings(self) -> list[TrainingPlan]:
        """Every training of the recipe."""
        heads = [head.training for head in (self.context, self.fusion) if head is not None]
        return [*(modality.training for modality in self.modalities.values()), *heads]

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return _completed(given, usual.of_dialogues)


class Frames(Strict):
    """The acoustic input of a network over time, frame by frame.

    What the front end gives is grouped into frames of the labels: taken as it is where both are equally long, else
    mean and deviation of what falls into one.
    """

    length_s: float = Field(default=0.1, gt=0, le=10)  # as the labels'
    front_end: Component | None  # none: the words alone are the input
    normalization: Literal["none", "train"]

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return _completed(given, usual.of_frames)


class WordInput(Strict):
    """The word input of a network over time: a word's vector on each frame in which it is spoken, zeros in silence.

    `times`: "corpus", as well as the corpus tells them; "alignment", found in the recording where it does not.
    `transcripts`: a recogniser's words with their times instead. `unknown`: what a word without a vector gets.
    """

    times: Literal["corpus", "alignment"] = "corpus"
    transcripts: Transcripts | None = None
    vectors: Component
    unknown: Literal["zeros", "random"] = "zeros"

    @field_validator("transcripts")
    @classmethod
    def _all_of_one_kind(cls, transcripts: Transcripts | None) -> Transcripts | None:
        if transcripts is not None and transcripts.used == "missing":
            raise ValueError("words with times are not filled in; used is test or always")
        return transcripts


class ContinuousRecipe(Study):
    """Everything a run over time-continuous labels does."""

    unit: Literal["time"]
    task: str = "continuous"
    dimensions: list[str] = Field(default=["arousal", "valence"], min_length=1)
    frames: Frames
    words: WordInput | None = None  # none: the voice alone is the input
    sequence_frames: int = Field(default=100, gt=0)  # of a training example
    delay_s: float | Literal["search"] = 0.0  # how late the raters are; search: on the dev part, else on training folds
    postprocessing: bool = False  # smoothing, scaling and bias, fitted on the dev part
    model: Component
    training: TrainingPlan

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        return _completed(given, usual.of_time)

    @property
    def trainings(self) -> list[TrainingPlan]:
        """Every training of the recipe."""
        return [self.training]

    @property
    def reads_dev(self) -> bool:
        """Whether post-processing is fitted, an epoch chosen or the raters' delay searched."""
        return self.needs_dev or self.delay_s == "search"

    @property
    def needs_dev(self) -> bool:
        """Whether post-processing is fitted, or an epoch chosen; a delay can be searched on training folds."""
        return self.postprocessing or super().needs_dev


AnyRecipe = Recipe | DialogueRecipe | ContinuousRecipe
UNITS: dict[str, type[Recipe] | type[DialogueRecipe] | type[ContinuousRecipe]] = {
    "utterance": Recipe,
    "dialogue": DialogueRecipe,
    "time": ContinuousRecipe,
}
