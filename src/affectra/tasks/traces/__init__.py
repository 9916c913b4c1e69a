"""Time-continuous labels: tables of ratings become traces on a grid of frames; delays, raters, post-processing."""

from affectra.tasks.traces.delay import Delay, find_delay, move_back, shift_back
from affectra.tasks.traces.postprocessing import PostProcessing
from affectra.tasks.traces.raters import GoldStandard, gold_standard, gold_table
from affectra.tasks.traces.table import STEP_S, Trace, Traces, common_length, read_traces

__all__ = [
    "STEP_S",
    "Delay",
    "GoldStandard",
    "PostProcessing",
    "Trace",
    "Traces",
    "common_length",
    "find_delay",
    "gold_standard",
    "gold_table",
    "move_back",
    "read_traces",
    "shift_back",
]
