"""Commands on recordings: predict and listen."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from affectra.cli.console import (
    app,
    introduced,
    load_model,
    print_error,
    progress_bar,
    recordings_in,
    refuse,
    say,
)


@app.command
def predict(
    audio: Annotated[list[Path], Parameter(name="AUDIO")],
    /,
    *,
    model: str = "affectra-base",
    format_: Annotated[Literal["table", "json", "csv", "textgrid"] | None, Parameter(name="--format")] = None,
    timeline: Annotated[bool, Parameter(negative="")] = False,
    classes: str = "",
    abstain: Annotated[bool, Parameter(negative="--no-abstain")] = True,
    out: Path | None = None,
    plot: Path | None = None,
    enrol: Path | None = None,
    dialogue: Annotated[bool, Parameter(negative="")] = False,
    channel: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006, cyclopts reads the default
    asr: str | None = None,
) -> int:
    """Recognise emotion in recordings of any format and rate. Exit code 1 if a file could not be read.

    Parameters
    ----------
    audio
        Files, or folders with recordings in them. With --dialogue the turns of a conversation in order, or a table of
        turns (.csv, .tsv, .jsonl: file, speaker, start, end, text, channel) and perhaps the one recording they are of.
    model
        A shipped model's name, a run directory, a fold of one, or an exported model.
    format_
        How the answer is written; default: what --out ends in, else a table.
    timeline
        One row a second instead of one a file; of a model over time a row a frame, else the means of a file.
    classes
        Offer these alone, with commas between them.
    abstain
        Answer "unknown" where there is no speech or the model is not sure enough.
    out
        Write to this .csv, .json, .tsv or .TextGrid file, or with --format textgrid into this folder, one a recording;
        the same command again goes on where it stopped, and does again what has changed.
    plot
        Draw into this .png, .svg or .pdf file; for several recordings a folder.
    enrol
        Folder with one person's own neutral recordings, three or more: adapt to that voice.
    dialogue
        What is given is a conversation, and the model one over dialogues.
    channel
        With --dialogue SPEAKER=CHANNEL: who is on which channel, left, right or a number from 0 on.
    asr
        With --dialogue what recognises the words of turns without a transcript, and for a model over time all words:
        pocketsphinx, hugging-face:MODEL or none.
    """
    if dialogue:
        refuse({"--timeline": timeline, "--plot": plot, "--enrol": enrol}, "does not go with --dialogue")
        return _predict_conversations(audio, model, channel, asr, classes, abstain, format_, out)
    refuse({"--channel": channel}, "needs --dialogue")

    from affectra.audio import AUDIO_SUFFIXES
    from affectra.features.description import kinds_at
    from affectra.files import sha256_json
    from affectra.predict.calibration import to_json
    from affectra.predict.model import as_row, folder_of

    if "time" in kinds_at(folder_of(model)):
        given = {"--classes": classes, "--no-abstain": not abstain, "--enrol": enrol}
        refuse(given, f"does not go with a model over time, as {model} is")
        return _predict_traces(audio, model, asr, timeline, format_, out, plot)
    refuse({"--asr": asr}, "needs --dialogue, or a model over time")

    recogniser = load_model(model)
    if enrol is not None:
        recogniser = recogniser.enrolled(recordings_in([enrol], AUDIO_SUFFIXES))
    offered = recogniser.offered([name.strip() for name in classes.split(",") if name.strip()])
    recordings = recordings_in(audio, AUDIO_SUFFIXES)

    def predict_one(path: Path) -> list[dict[str, Any]]:
        if timeline:
            found = recogniser.timeline_of_file(path, classes=offered, abstain=abstain)
        else:
            found = [recogniser.recognize_file(path, classes=offered, abstain=abstain)]
        return [as_row(str(path), prediction) for prediction in found]

    settings = {
        "model": recogniser.name,
        "calibration": sha256_json(to_json(recogniser.calibration)),
        "timeline": timeline,
        "abstain": abstain,
        "voice": recogniser.enrolment.bias.tolist() if recogniser.enrolment else None,
    }
    return _predict_files(
        recordings, predict_one, recogniser.name, classes=offered, format_=format_, out=out, plot=plot,
        settings=settings,
    )  # fmt: skip


def _predict_files(
    recordings: Sequence[Path], predict_one: Callable[[Path], list[dict[str, Any]]], model: str, **asked: Any
) -> int:
    """Write what a model says of recordings; `asked` is that of `open_outputs`. The exit code."""
    from contextlib import ExitStack

    from affectra.audio import AUDIO_SUFFIXES
    from affectra.errors import AudioError
    from affectra.predict.outputs import open_outputs, predict_files

    def predicted(path: Path) -> list[dict[str, Any]]:
        if path.is_dir():
            raise AudioError(f"{path}: no recordings below it; expected files ending in {' '.join(AUDIO_SUFFIXES)}")
        return predict_one(path)

    out = asked["out"]
    with ExitStack() as stack:
        outputs = open_outputs(stack, recordings, model=model, **asked)
        is_seen = out is None and sys.stdout.isatty()  # the rows themselves show how far it is
        progress = stack.enter_context(progress_bar("recognising", is_shown=not is_seen))
        n_failed = predict_files(recordings, predicted, outputs, complain=print_error, progress=progress)
    if out is not None:
        say(f"{out}: {len(recordings) - n_failed} of {len(recordings)} recordings")
    return 1 if n_failed else 0


def _predict_traces(
    given: Sequence[Path],
    model: str,
    asr: str | None,
    timeline: bool,
    format_: str | None,
    out: Path | None,
    plot: Path | None,
) -> int:
    """`predict` with a model over time; the exit code."""
    from affectra.audio import AUDIO_SUFFIXES
    from affectra.predict.conversation import find_words
    from affectra.predict.frame_model import load

    refuse({"--plot": plot and not timeline}, "draws a timeline and needs --timeline with a model over time")
    recogniser = introduced(load(model))
    recognizer = None if asr is None else find_words(asr).recognizer
    recogniser.check_words(recognizer)
    if recogniser.reads and recognizer is None:
        say("affectra: the model reads words too, and none are heard: they count as silence; --asr NAME hears them")

    def predict_one(path: Path) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = recogniser.timeline_of_file(path, recognizer=recognizer).rows(
            str(path), timeline=timeline
        )
        return found

    settings = {"model": recogniser.name, "timeline": timeline, "asr": asr}
    return _predict_files(
        recordings_in(given, AUDIO_SUFFIXES), predict_one, recogniser.name, classes=(),
        dimensions=recogniser.dimensions, format_=format_, out=out, plot=plot, settings=settings,
    )  # fmt: skip


def _predict_conversations(
    given: Sequence[Path],
    model: str,
    channels: Sequence[str],
    asr: str | None,
    classes: str,
    abstain: bool,
    format_: str | None,
    out: Path | None,
) -> int:
    """`predict --dialogue`; the exit code."""
    from affectra.audio import AUDIO_SUFFIXES
    from affectra.predict.conversation import ConversationOutput, conversations_of, find_words, load, parse_channels

    conversations = conversations_of(recordings_in(given, AUDIO_SUFFIXES), parse_channels(channels))
    turns = [turn for conversation in conversations for turn in conversation.turns]
    recogniser = introduced(load(model))
    offered = recogniser.offered([name.strip() for name in classes.split(",") if name.strip()])
    words = find_words(asr)
    if "text" in recogniser.modalities and not all(turn.text for turn in turns):
        say(words.notice)
    complaints: dict[str, None] = {}  # a recording that is missing is named once, not for each of its turns

    def complain(message: str) -> None:
        if message not in complaints:
            print_error(message)
        complaints[message] = None

    files = list(dict.fromkeys(turn.file for turn in turns if turn.file is not None))
    has_names = any(conversation.name for conversation in conversations)
    n_done = 0
    with (
        ConversationOutput(offered, files, has_names=has_names, format_=format_, out=out) as output,
        progress_bar("recognising", is_shown=out is not None or not sys.stdout.isatty()) as progress,
    ):

        def advance() -> None:
            nonlocal n_done
            n_done += 1
            progress(n_done, len(turns))

        for conversation in conversations:
            for found in recogniser.recognize(
                conversation, words=words, classes=offered, abstain=abstain, complain=complain, progress=advance
            ):
                output.write([{**found.as_row(), "dialogue": conversation.name}])
    if out is not None:
        say(f"{out}: {len(turns)} turns of {len(conversations)} conversation(s)")
    return 1 if complaints else 0


@app.command
def listen(
    *,
    model: str = "affectra-base",
    stdin: Annotated[bool, Parameter(negative="")] = False,
    rate: int = 16_000,
    classes: str = "",
    abstain: Annotated[bool, Parameter(negative="--no-abstain")] = True,
    format_: Annotated[Literal["table", "csv", "json"], Parameter(name="--format")] = "table",
) -> None:
    """Recognise emotion live, a row each second: from the microphone, or raw samples on standard input.

    Parameters
    ----------
    model
        A shipped model's name, a run directory, a fold of one, or an exported model.
    stdin
        Read raw 16-bit little-endian mono samples from standard input instead of the microphone.
    rate
        Of the samples, Hz.
    classes
        Offer these alone, with commas between them.
    abstain
        Answer "unknown" where there is no speech or the model is not sure enough.
    format_
        How the answers are written.
    """
    from affectra.audio.microphone import microphone_blocks, pcm_blocks
    from affectra.predict.model import as_row
    from affectra.predict.outputs import Printer, columns_of, layout_of
    from affectra.predict.stream import Stream

    recogniser = load_model(model)
    offered = recogniser.offered([name.strip() for name in classes.split(",") if name.strip()])
    source = Path("-" if stdin else "microphone")
    blocks = pcm_blocks(sys.stdin.buffer, rate) if stdin else microphone_blocks(rate)
    live = Stream(recogniser, rate, classes=offered, abstain=abstain)
    with Printer(sys.stdout, layout_of(format_, columns_of(offered)), [source]) as printer:
        try:
            for block in blocks:
                for prediction in live.feed(block):
                    printer.write(source, [as_row(str(source), prediction)])
                    sys.stdout.flush()
        except KeyboardInterrupt:  # the way to end a microphone; what was recorded is answered
            pass
        for prediction in live.finish():
            printer.write(source, [as_row(str(source), prediction)])
