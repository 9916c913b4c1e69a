"""The command line: thin commands that import what they need when they run."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

from affectra import __version__
from affectra.errors import AffectraError
from affectra.files import cache_dir

app = App(
    name="affectra",
    help="Speech emotion recognition, from raw audio to an honest result.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)

Sources = Annotated[list[str], Parameter(name="--corpus", negative="", help="NAME=FOLDER or NAME=MANIFEST")]
Settings = Annotated[list[str], Parameter(name="--set", negative="", help="key=value, e.g. training.epochs=2")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 a part failed, 2 a user's mistake, 130 interrupted."""
    # Matplotlib keeps a list of fonts: in Affectra's cache, so that a command writes nowhere else unasked.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(" ".join(str(error).split()) + " (affectra --help)")
    except AffectraError as error:
        return _complain(" ".join(str(error).split("\n")))
    except KeyboardInterrupt:
        return _complain(
            "interrupted; finished folds and epochs of a run are kept, run it again with --resume", code=130
        )
    except BrokenPipeError:
        sys.stderr.close()  # the reader has left; Python would complain of it once more at exit
        return 0
    except OSError as error:  # no permission, no space, no such device: the system says it best
        return _complain(f"{error.filename2 or error.filename or 'files'}: {error.strerror or error}")
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int = 2) -> int:
    print(f"affectra: {message}", file=sys.stderr)
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table; a pipe gets plain lines, tab between columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(_cell(row.get(column)) for column in columns))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@app.command
def corpora(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List corpora: name, languages, licence, how to get it, published counts."""
    from affectra.corpora import CORPORA

    rows = [
        {
            "name": info.name,
            "title": info.title,
            "languages": list(info.languages),
            "licence": info.licence,
            "utterances": info.expected.get("utterances"),
            "speakers": info.expected.get("speakers"),
            "access": info.access,
            "expected": dict(info.expected),
            "synthetic": info.synthetic,
        }
        for info in CORPORA.values()
    ]
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _table(rows, ["name", "languages", "licence", "utterances", "speakers", "access"])


@app.command
def doctor(
    corpus: str,
    *,
    root: Path,
    settings: Settings = [],  # noqa: B006, cyclopts reads the default, nobody changes it
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Read and check one corpus: counts against the published ones, faults, quirks. Exit code 1 if run would refuse it.

    Parameters
    ----------
    corpus
        Name of a known corpus; csv, folder (one sub-folder a class), audformat, emobox.
    root
        Its folder.
    settings
        Options of the corpus's reader, e.g. label_source=target.
    """
    from affectra.config import parse_assignments
    from affectra.corpora import CORPORA, IMPORTERS
    from affectra.corpora.doctor import examine

    opened = _read(corpus, root, parse_assignments(settings))
    with _progress(f"listening to {opened.name}") as progress:
        diagnosis = examine(opened, CORPORA.get(opened.name) if corpus not in IMPORTERS else None, progress)
    if json_:
        print(json.dumps(diagnosis.to_json(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(diagnosis.lines()))
    return 0 if diagnosis.ok else 1


@app.command
def prepare(
    corpus: str,
    *,
    root: Path,
    out: Path,
    audio: Path | None = None,
    name: str | None = None,
    speaker_pattern: str | None = None,
    format_: Annotated[Literal["manifest", "audformat"], Parameter(name="--format")] = "manifest",
    settings: Settings = [],  # noqa: B006
) -> int:
    """Write a corpus's manifest (.csv or .parquet). Exit code 1 if rows of a table had to be left out.

    Parameters
    ----------
    corpus
        Name of a known corpus; csv (a table with file, speaker, emotion; rows with a channel get a file of that channel
        beside the manifest); folder (one sub-folder a class); audformat (a database); emobox (its JSON lines).
    root
        Folder of the audio; for csv and emobox also the table itself.
    out
        The manifest, whose file column is relative to root; with --format audformat a folder.
    audio
        For csv and emobox: the folder that the table's files are relative to, if not the table's own.
    name
        What to call a corpus of one's own; default: the table's or folder's name.
    speaker_pattern
        For folder: regular expression whose first group, in the relative path, is the speaker.
    format_
        Write a manifest, or an audformat database.
    settings
        Options of the corpus's reader, e.g. label_source=target.
    """
    from affectra.config import parse_assignments
    from affectra.corpora.names import spelling_warnings
    from affectra.corpora.sources import write_corpus
    from affectra.errors import ConfigError

    if root.is_file() and out.resolve() == root.resolve():
        raise ConfigError(f"--out {out} would overwrite the table it is made from")
    if audio is not None and corpus not in ("csv", "emobox"):
        raise ConfigError(f"--audio belongs to csv and emobox; the audio of {corpus} lies below --root")
    options = {"root": audio, "speaker_pattern": speaker_pattern, "name": name}
    if corpus == "csv":
        options["channel_folder"] = out if format_ == "audformat" else out.parent
    given = {option: value for option, value in options.items() if value is not None}
    opened = _read(corpus, root, {**given, **parse_assignments(settings)})
    if format_ == "audformat":
        from affectra.corpora.audformat_export import write as write_audformat

        write_audformat(opened, out)
        if out.resolve() != opened.root.resolve():
            _say(f"affectra: the database's files are relative to {opened.root}; put it there, or the audio beside it")
    else:
        write_corpus(opened, out)
    for warning in (*opened.faults, *spelling_warnings(opened.manifest)):
        _say(f"affectra: {warning}")
    speakers = opened.manifest["speaker"].replace("", None).nunique()
    print(f"{out}: {len(opened.manifest)} utterances, {speakers} speakers")
    # A row of one's own table that failed; a corpus may hold files that are none of its utterances.
    own = corpus in ("csv", "audformat", "emobox")
    return 1 if own and any(fault.endswith("left out") for fault in opened.faults) else 0


def _read(corpus: str, root: Path, options: Mapping[str, Any]) -> Any:
    """Read a known corpus, or somebody's own through an importer."""
    from affectra.corpora import IMPORTERS, read_corpus
    from affectra.registry import check_options

    if corpus in IMPORTERS:
        place, *_ = inspect.signature(IMPORTERS[corpus]).parameters
        check_options(f"corpus {corpus}", IMPORTERS[corpus], options, also=(place,))
        return IMPORTERS[corpus](root, **options)
    return read_corpus(corpus, root, options)


@contextmanager
def _progress(title: str, is_shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; gives what is called with done and all."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), disable=not (is_shown and sys.stderr.isatty()), transient=True
    ) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@app.command
def protocols(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List protocols with one line on what each is."""
    from affectra.protocols import PROTOCOLS

    promises = {True: "speaker-independent", False: "speaker-dependent", None: "as its input"}
    rows = [
        {
            "name": p.name,
            "version": p.version,
            "speakers": promises[p.speaker_independent],
            "keeps_apart": sorted(p.promises),
            "title": p.title,
        }
        for p in PROTOCOLS.values()
    ]
    if json_:
        print(json.dumps(rows, indent=2))
    else:
        _table(rows, ["name", "version", "speakers", "keeps_apart", "title"])


@app.command
def split(
    protocol: str,
    manifests: Annotated[list[Path], Parameter(name="MANIFEST")],
    /,
    *,
    out: Path,
    settings: Settings = [],  # noqa: B006, cyclopts reads the default, nobody changes it
) -> None:
    """Write a protocol's folds as JSON, with its name, version and hash.

    Parameters
    ----------
    protocol
        A name from `affectra protocols`.
    manifests
        One manifest or several.
    out
        The JSON file.
    settings
        Options of the protocol, e.g. dev=false.
    """
    from affectra.config import parse_assignments
    from affectra.corpora.names import spelling_warnings
    from affectra.corpora.utterance import join_manifests, read_manifest
    from affectra.protocols import apply_protocol, write_splits

    manifest = join_manifests([read_manifest(path) for path in manifests])
    splits = apply_protocol(protocol, manifest, parse_assignments(settings))
    write_splits(splits, out)
    for warning in spelling_warnings(manifest):
        _say(f"affectra: {warning}")
    stamp = "speaker-independent" if splits.speaker_independent else "SPEAKER-DEPENDENT"
    folds = f"{len(splits.folds)} fold{'s' * (len(splits.folds) != 1)}"
    print(f"{out}: {folds}, {stamp}, hash {splits.hash}")


@app.command
def audit(
    splits: Path,
    manifests: Annotated[list[Path], Parameter(name="MANIFEST")],
    /,
    *,
    root: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Judge any split: what of its test parts is in training too, by name and by ear. Exit code 1 on a leak.

    Parameters
    ----------
    splits
        Folds as `affectra split` writes them, or somebody else's as JSON, CSV or a folder of EmoBox.
    manifests
        The manifests of its utterances.
    root
        Folder of the audio; default: where the manifests lie or were prepared from.
    json_
        Print everything as JSON.
    """
    from affectra.leakage.files import audit_file

    with _progress("listening for copies") as progress:
        found = audit_file(splits, manifests, root, progress, _say)
    print(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if json_ else "\n".join(found.lines()))
    return 0 if found.ok else 1


@app.command
def recipes(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List the shipped recipes."""
    from affectra.config import load_recipe, recipe_names

    rows = [{"name": name, "description": load_recipe(name).recipe.description} for name in recipe_names()]
    if json_:
        print(json.dumps(rows, indent=2))
    else:
        _table(rows, ["name", "description"])


@app.command
def run(
    recipe: str,
    /,
    *,
    corpus: Sources = [],  # noqa: B006, cyclopts reads the default, nobody changes it
    protocol: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    settings: Settings = [],  # noqa: B006
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    jobs: int = 1,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    allow_leak: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006
) -> None:
    """Run a recipe from raw audio to a report.

    Parameters
    ----------
    recipe
        A name from `affectra recipes`, or one's own .yaml file.
    corpus
        NAME=FOLDER of a known corpus, or NAME=MANIFEST; several are put together. Default: the recipe's.
    protocol
        Instead of the recipe's; a name from `affectra protocols`. A dev part is kept only where something is decided by
        it, or with --set protocol.options.dev=true.
    task
        Instead of the recipe's, e.g. emotion4.
    seeds
        How many seeds.
    settings
        A value of the recipe to change, e.g. training.epochs=2.
    out
        Run directory; default runs/RECIPE-CORPORA.
    resume
        Go on with what is there.
    jobs
        Folds at a time, each in a process of its own.
    dry_run
        Check everything, say what would be done and how long it would take, write nothing.
    allow_leak
        A kind of leakage that the audit may find, e.g. speaker; the result is stamped with it.
    """
    from affectra.config import load_recipe, parse_assignments
    from affectra.errors import ConfigError
    from affectra.plan import outline, plan_run
    from affectra.run import claim, execute, result_line

    if jobs < 1 or (seeds is not None and seeds < 1):
        raise ConfigError("--jobs and --seeds take numbers from 1 on")
    given: dict[str, Any] = {"protocol": protocol, "task": task, "seeds": seeds, "allow_leak": allow_leak}
    if load_recipe(recipe).recipe.variants:
        from affectra.sweep import execute_variants, outline_variants, plan_variants

        plans = plan_variants(recipe, corpus, settings=parse_assignments(settings), out=out, **given)
        (print if dry_run else _say)("\n".join(outline_variants(plans, jobs)))
        if not dry_run:
            for name, line in execute_variants(plans, resume=resume, n_processes=jobs, say=_say).items():
                print(f"{name}: {line}")
        return
    plan = plan_run(recipe, corpus, settings=parse_assignments(settings), out=out, **given)
    if dry_run:
        claim(plan, resume)
        print("\n".join(outline(plan, jobs)))
        return
    for line in outline(plan, jobs):
        _say(line)
    scores = execute(plan, resume=resume, n_processes=jobs, say=_say)
    print(result_line(plan, scores))
    print(f"report: {plan.folder / 'report.html'}")


@app.command
def report(runs: Annotated[list[Path], Parameter(name="RUN")], /, *, out: Path | None = None) -> None:
    """Write the report of run directories, finished or not, and print a line for each.

    Parameters
    ----------
    runs
        Run directories.
    out
        A folder for one overview of all of them instead: cross-corpus matrices, the papers' tables beside ours.
    """
    from affectra.continuous_evaluation import is_over_time
    from affectra.files import read_json

    if out is not None:
        if any(map(is_over_time, runs)):
            from affectra.continuous_overview import write_continuous_overview

            print(write_continuous_overview(runs, out))
            return
        from affectra.overview import write_overview

        print(write_overview(runs, out))
        return
    from affectra.continuous_report import continuous_summary, write_continuous_report
    from affectra.report import summary_line, write_report

    for folder in runs:
        path = folder / "scores.json"
        is_in_time = is_over_time(folder)
        written = write_continuous_report(folder) if is_in_time else write_report(folder)
        scores = read_json(path)
        print(f"{written}: {continuous_summary(scores) if is_in_time else summary_line(scores)}")


@app.command
def compare(
    run: Path,
    others: Annotated[list[Path], Parameter(name="RUN")],
    /,
    *,
    by: Literal["speaker", "dialogue"] = "speaker",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Is one run better than another on the same utterances? Effect, interval and p, by speaker; Holm over several.

    Parameters
    ----------
    run
        The run directory that the others are compared with; positive effects speak for it.
    others
        One run directory or several.
    by
        What is exchanged and drawn: speakers, or, of runs over dialogues, whole dialogues.
    json_
        Print everything as JSON.
    """
    from affectra.compare import compare as compare_two
    from affectra.compare import compare_many
    from affectra.continuous_evaluation import is_over_time

    found: Sequence[Any]
    if any(map(is_over_time, [run, *others])):
        from affectra.continuous_compare import compare_traces

        _refuse({"--by dialogue": by == "dialogue"}, "does not go with runs over time")
        found = compare_traces(run, others)
    else:
        found = [compare_two(run, others[0], by=by)] if len(others) == 1 else compare_many(run, others, by=by)
    if json_:
        print(json.dumps([comparison.to_json() for comparison in found], indent=2, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(comparison.lines()) for comparison in found))


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
        Answer "unknown" where there is nothing to hear or the model is not sure enough.
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
        With --dialogue what hears the words of turns without a transcript, and of a model over time all words:
        pocketsphinx, hugging-face:MODEL or none.
    """
    if dialogue:
        _refuse({"--timeline": timeline, "--plot": plot, "--enrol": enrol}, "does not go with --dialogue")
        return _predict_conversations(audio, model, channel, asr, classes, abstain, format_, out)
    _refuse({"--channel": channel}, "needs --dialogue")

    from affectra.audio import AUDIO_SUFFIXES
    from affectra.calibration import to_json
    from affectra.files import sha256_json
    from affectra.predict import as_row, folder_of, folders_over_time

    if folders_over_time(folder_of(model)):
        given = {"--classes": classes, "--no-abstain": not abstain, "--enrol": enrol}
        _refuse(given, f"does not go with a model over time, as {model} is")
        return _predict_traces(audio, model, asr, timeline, format_, out, plot)
    _refuse({"--asr": asr}, "needs --dialogue, or a model over time")

    recogniser = _load(model)
    if enrol is not None:
        recogniser = recogniser.enrolled(_recordings([enrol], AUDIO_SUFFIXES))
    offered = recogniser.offered([name.strip() for name in classes.split(",") if name.strip()])
    recordings = _recordings(audio, AUDIO_SUFFIXES)

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
    from affectra.outputs import open_outputs, predict_files

    def predicted(path: Path) -> list[dict[str, Any]]:
        if path.is_dir():
            raise AudioError(f"{path}: no recordings below it; expected files ending in {' '.join(AUDIO_SUFFIXES)}")
        return predict_one(path)

    out = asked["out"]
    with ExitStack() as stack:
        outputs = open_outputs(stack, recordings, model=model, **asked)
        is_seen = out is None and sys.stdout.isatty()  # the rows themselves show how far it is
        progress = stack.enter_context(_progress("recognising", is_shown=not is_seen))
        n_failed = predict_files(recordings, predicted, outputs, complain=_complain, progress=progress)
    if out is not None:
        _say(f"{out}: {len(recordings) - n_failed} of {len(recordings)} recordings")
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
    from affectra.continuous_model import load
    from affectra.conversation import find_words

    _refuse({"--plot": plot and not timeline}, "draws a timeline and needs --timeline with a model over time")
    recogniser = _introduced(load(model))
    recognizer = None if asr is None else find_words(asr).recognizer
    recogniser.check_words(recognizer)
    if recogniser.reads and recognizer is None:
        _say("affectra: the model reads words too, and none are heard: they count as silence; --asr NAME hears them")

    def predict_one(path: Path) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = recogniser.timeline_of_file(path, recognizer=recognizer).rows(
            str(path), timeline=timeline
        )
        return found

    settings = {"model": recogniser.name, "timeline": timeline, "asr": asr}
    return _predict_files(
        _recordings(given, AUDIO_SUFFIXES), predict_one, recogniser.name, classes=(), dimensions=recogniser.dimensions,
        format_=format_, out=out, plot=plot, settings=settings,
    )  # fmt: skip


def _refuse(options: Mapping[str, Any], why: str) -> None:
    """Raise a `ConfigError` for the first of these options that was given."""
    from affectra.errors import ConfigError

    for name, value in options.items():
        if value:
            raise ConfigError(f"{name} {why}; leave it out")


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
    from affectra.conversation import ConversationOutput, conversations_of, find_words, load, parse_channels

    conversations = conversations_of(_recordings(given, AUDIO_SUFFIXES), parse_channels(channels))
    turns = [turn for conversation in conversations for turn in conversation.turns]
    recogniser = _introduced(load(model))
    offered = recogniser.offered([name.strip() for name in classes.split(",") if name.strip()])
    words = find_words(asr)
    if "text" in recogniser.modalities and not all(turn.text for turn in turns):
        _say(words.notice)
    complaints: dict[str, None] = {}  # a recording that is missing is named once, not for each of its turns

    def complain(message: str) -> None:
        if message not in complaints:
            _complain(message)
        complaints[message] = None

    files = list(dict.fromkeys(turn.file for turn in turns if turn.file is not None))
    has_names = any(conversation.name for conversation in conversations)
    n_heard = 0
    with (
        ConversationOutput(offered, files, has_names=has_names, format_=format_, out=out) as output,
        _progress("recognising", is_shown=out is not None or not sys.stdout.isatty()) as progress,
    ):

        def advance() -> None:
            nonlocal n_heard
            n_heard += 1
            progress(n_heard, len(turns))

        for conversation in conversations:
            for found in recogniser.recognize(
                conversation, words=words, classes=offered, abstain=abstain, complain=complain, progress=advance
            ):
                output.write([{**found.as_row(), "dialogue": conversation.name}])
    if out is not None:
        _say(f"{out}: {len(turns)} turns of {len(conversations)} conversation(s)")
    return 1 if complaints else 0


def _load(name_or_dir: str) -> Any:
    """A model, and on stderr what it is."""
    from affectra.predict import load

    return _introduced(load(name_or_dir))


def _introduced(model: Any) -> Any:
    """The model itself, and on stderr what it is."""
    licence = f", {model.licence}" if model.licence else ""
    _say(f"model: {model.name}{licence}{' (trained on synthetic speech)' if model.synthetic else ''}")
    return model


def _recordings(paths: Sequence[Path], suffixes: Iterable[str]) -> list[Path]:
    """Files as given, and the recordings below folders, in order."""
    known = tuple(suffixes)
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                p
                for p in path.rglob("*")
                if p.suffix.lower() in known
                and p.is_file()
                and not any(n.startswith(".") for n in p.relative_to(path).parts)
            )
            found += inside or [path]
        else:
            found.append(path)
    return found


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
        Answer "unknown" where there is nothing to hear or the model is not sure enough.
    format_
        How the answers are written.
    """
    from affectra.microphone import microphone_blocks, pcm_blocks
    from affectra.outputs import Printer, columns_of, layout_of
    from affectra.predict import as_row
    from affectra.stream import Stream

    recogniser = _load(model)
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
        except KeyboardInterrupt:  # the way to end a microphone; what was heard is answered
            pass
        for prediction in live.finish():
            printer.write(source, [as_row(str(source), prediction)])


@app.command
def serve(*, model: str = "affectra-base", host: str = "127.0.0.1", port: int = 8000) -> None:
    """Open a web page, an HTTP and a WebSocket server that recognise emotion, on this machine alone by default.

    Parameters
    ----------
    model
        A shipped model by name, a run directory, a fold of one, or an exported model.
    host
        Address to bind to; beyond 127.0.0.1 anyone on the network can use it, there is no authentication.
    port
        To listen on; 0 takes any that is free.
    """
    from affectra.serve import serve as serve_model

    serve_model(_load(model), host, port)


@app.command
def export(
    run: Path,
    /,
    *,
    out: Path,
    calibrate_on: Annotated[list[Path], Parameter(negative="")] = [],  # noqa: B006, cyclopts reads the default
    licence: str | None = None,
) -> None:
    """Write a run's model as ONNX with its preprocessing, calibration and model card, to use without torch.

    Parameters
    ----------
    run
        A run directory, whose folds are averaged, or one fold of it.
    out
        The new folder.
    calibrate_on
        Runs of the same recipe under other protocols, e.g. loco: the calibration is fitted on theirs and this run's
        predictions of what their models had not heard.
    licence
        What the weights may be used for, said in the card and wherever the model is named.
    """
    from affectra.export import export as export_model

    print(export_model(run, out, licence=licence, calibrate_on=calibrate_on))


@app.command
def demo(*, out: Path = Path("runs/demo"), jobs: int = 2) -> None:
    """Render the embedded synthetic corpus, train on it, write a report and recognise a recording, in a few minutes.

    Parameters
    ----------
    out
        Run directory; a demo that was interrupted goes on.
    jobs
        Folds at a time.
    """
    from affectra.demo import run_demo
    from affectra.errors import ConfigError

    if jobs < 1:
        raise ConfigError("--jobs takes numbers from 1 on")
    for line in run_demo(out, jobs, _say):
        print(line)
