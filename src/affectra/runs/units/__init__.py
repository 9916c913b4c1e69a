"""Units that a run learns over: utterances, dialogues, or frames; each a module with the functions of `Unit`."""

from affectra.runs.units import dialogues, frames, utterances
from affectra.runs.units.plan_types import Unit

UNITS: dict[str, Unit] = {"utterance": utterances, "dialogue": dialogues, "time": frames}
