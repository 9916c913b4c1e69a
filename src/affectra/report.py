"""The report of a run: one self-contained HTML page, and the same as Markdown with its figures beside it."""

import base64
import io
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from affectra.errors import CheckpointError
from affectra.evaluation import read_predictions, speaker_names
from affectra.files import atomic_path, read_json, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "ua": "UA (average recall)",
    "wa": "WA (accuracy)",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
NEEDED = {  # keys without which there is no report
    "recipe.yaml": ("name", "description", "paper", "seeds"),
    "scores.json": (
        "protocol", "task", "classes", "n_utterances", "n_speakers", "n_folds", "n_seeds", "synthetic", "normalization",
        "leaks", "complete",
        "folds_done", "metrics", "mean_over_folds", "interval", "paper", "confusion", "per_corpus", "per_seed",
        "per_fold", "per_speaker",
    ),
    "environment.json": ("corpora", "labels", "audit", "command"),
}  # fmt: skip
HISTORY = ("epoch", "train_loss", "train_accuracy", "dev_loss", "dev_ua")
DOTS_PER_INCH = 192  # twice the 96 of CSS, for fine screens


@dataclass(frozen=True)
class Theme:
    """Colours of a figure; `first` and `second` are told apart with any colour vision (Okabe & Ito 2008).

    `turn` is the share of `first` in `paper` above which text reads better in `paper` than in `ink` (WCAG contrast).
    """

    paper: str
    ink: str
    faint: str
    first: str
    second: str
    turn: float


LIGHT = Theme(paper="#ffffff", ink="#1f2328", faint="#d0d7de", first="#0072b2", second="#d55e00", turn=0.85)
DARK = Theme(paper="#16191d", ink="#e4e7eb", faint="#3a4048", first="#56b4e9", second="#e69f00", turn=0.63)


@dataclass(frozen=True)
class Run:
    """What a report is made from.

    Attributes:
        recipe: the resolved recipe.
        recipe_text: the same as written, with its comments.
        environment: environment.json.
        scores: scores.json.
        predictions: predictions.csv.
        histories: stage ("" where there is one) -> rows of all its history.csv with their seed and fold.
    """

    recipe: Mapping[str, Any]
    recipe_text: str
    environment: Mapping[str, Any]
    scores: Mapping[str, Any]
    predictions: pd.DataFrame
    histories: Mapping[str, pd.DataFrame]


def write_report(run: Path) -> Path:
    """Write report.html, report.md and figures/*.png into a run directory, each atomically.

    Args:
        run: the run directory, with recipe.yaml, environment.json, scores.json and predictions.csv.

    Returns:
        The path of report.html.

    Raises:
        CheckpointError: a file of the run is missing or not readable, by its name.
    """
    run = Path(run)
    content = _read_run(run)
    figures = []
    for name, title, alt, figure_of in _figures(content):
        light, dark = (_png(figure_of(theme)) for theme in (LIGHT, DARK))
        with atomic_path(run / "figures" / f"{name}.png") as temporary:
            temporary.write_bytes(light)
        width = int.from_bytes(light[16:20], "big") * 96 // DOTS_PER_INCH  # PNG header: width after the first 16 bytes
        figures.append(
            {
                "name": name,
                "title": title,
                "alt": alt,
                "width": width,
                "light": _data_url(light),
                "dark": _data_url(dark),
            }
        )
    facts = _facts(content)
    page = run / "report.html"
    write_text(page, _templates(html=True).get_template("report.html.j2").render(**facts, figures=figures))
    write_text(run / "report.md", _templates(html=False).get_template("report.md.j2").render(**facts, figures=figures))
    return page


def summary_line(scores: Mapping[str, Any]) -> str:
    """The result of a run in one line, from the content of scores.json.

    Example:
        >>> summary_line({
        ...     "metrics": {"ua": 0.7123, "wa": 0.73}, "interval": {"ua": [0.651, 0.774]}, "n_folds": 8, "n_seeds": 1,
        ...     "complete": True, "folds_done": "8/8", "synthetic": True, "leaks": [],
        ...     "normalization": {"mode": "none", "transductive": False},
        ...     "protocol": {"name": "loso", "speaker_independent": True},
        ... })
        'UA 0.712 [0.65, 0.77], WA 0.730, 8 folds, loso, speaker-independent, synthetic'
    """
    interval = scores["interval"]["ua"]
    protocol = scores["protocol"]
    folds = f"{scores['n_folds']} fold{'s' * (scores['n_folds'] != 1)}"
    if scores["n_seeds"] > 1:
        folds += f" x {scores['n_seeds']} seeds"
    parts = [
        f"UA {scores['metrics']['ua']:.3f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""),
        f"WA {scores['metrics']['wa']:.3f}",
        folds if scores["complete"] else f"PARTIAL ({scores['folds_done']} folds)",
        protocol["name"],
        "speaker-independent" if protocol["speaker_independent"] else "SPEAKER-DEPENDENT",
    ]
    if scores["leaks"]:
        parts.insert(0, f"LEAK ({', '.join(scores['leaks'])})")
    if scores["normalization"]["transductive"]:
        parts.append(f"TRANSDUCTIVE (normalised per {scores['normalization']['mode']})")
    return ", ".join([*parts, "synthetic"] if scores["synthetic"] else parts)


def _read_run(run: Path) -> Run:
    for name in (*NEEDED, "predictions.csv"):
        if not (run / name).is_file():
            raise CheckpointError(
                f"{run / name}: no such file; a report needs a run directory as `affectra run` writes it"
            )
    predictions = read_predictions(run / "predictions.csv")
    return Run(
        recipe=_read_facts(run / "recipe.yaml"),
        recipe_text=(run / "recipe.yaml").read_text(encoding="utf-8"),
        environment=_read_facts(run / "environment.json"),
        scores=_read_facts(run / "scores.json"),
        predictions=predictions,
        histories=_read_histories(run, predictions),
    )


def _read_facts(path: Path) -> Mapping[str, Any]:
    """A YAML or JSON mapping with the keys `NEEDED`."""
    try:
        content = YAML(typ="safe").load(path) if path.suffix == ".yaml" else read_json(path)
    except (YAMLError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable: {str(error).splitlines()[0]}") from error
    missing = [key for key in NEEDED[path.name] if not isinstance(content, dict) or key not in content]
    if missing:
        raise CheckpointError(f"{path}: key(s) missing: {', '.join(missing)}; `affectra run` writes them")
    facts: Mapping[str, Any] = content
    return facts


def _read_histories(run: Path, predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The learning curves by stage of the folds that are done; the curve of one cut off would bend the mean."""
    done = set(predictions[["seed", "fold"]].itertuples(index=False, name=None))
    stages: dict[str, list[pd.DataFrame]] = {}
    for seed, fold in sorted(done):
        for path in sorted((run / f"seed-{seed}" / f"fold-{fold}").glob("**/history.csv")):
            try:
                history = pd.read_csv(path)
            except ValueError as error:
                raise CheckpointError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
            missing = [column for column in HISTORY if column not in history]
            if missing:
                raise CheckpointError(f"{path}: column(s) missing: {', '.join(missing)}; expected {', '.join(HISTORY)}")
            if history["epoch"].duplicated().any():
                raise CheckpointError(f"{path}: an epoch stands there twice; expected one row an epoch")
            stage = "/".join(path.relative_to(run).parts[2:-1])
            stages.setdefault(stage, []).append(history.assign(part=f"{seed}/{fold}"))
    return {stage: pd.concat(histories, ignore_index=True) for stage, histories in stages.items()}


def _facts(run: Run) -> dict[str, Any]:
    """Everything the templates show; numbers are formatted there."""
    scores, environment = run.scores, run.environment
    command = environment["command"]
    return {
        "recipe": run.recipe,
        "recipe_text": run.recipe_text,
        "environment": environment,
        "scores": scores,
        "summary": summary_line(scores),
        "headline": _headline(run),
        "chance": 1 / len(scores["classes"]),
        "classes": _classes(run),
        "folds": _folds(run),
        "speakers": sorted(scores["per_speaker"].items(), key=lambda item: (item[1]["ua"], item[0])),
        "command": command if isinstance(command, str) else shlex.join(command),
        "versions": {key: value for key, value in environment.items() if isinstance(value, str | int | float | None)
                     and key not in ("command", "seconds", "synthetic")},
    }  # fmt: skip


def _headline(run: Run) -> list[dict[str, Any]]:
    scores = run.scores
    counts = [sum(row) for row in scores["confusion"]["matrix"]]
    chance = {
        "ua": (1 / len(counts), "1 / number of classes"),
        "wa": (max(counts) / sum(counts), "the most frequent class"),
    }
    return [
        {
            "title": TITLES[name],
            "ours": scores["metrics"][name],
            "interval": scores["interval"][name],
            "mean_over_folds": scores["mean_over_folds"][name],
            "paper": _paper_result(run, name),
            "chance": chance.get(name),
        }
        for name in TITLES
    ]


def _paper_result(run: Run, metric: str) -> str:
    """The published number, and where it was measured if not where this run was."""
    paper = run.recipe["paper"]
    value = paper["results"].get(metric) if paper else None
    if value is None:
        return "n/a"
    if run.scores["paper"].get(metric) is not None:  # decided by the run
        return f"{value:.3f}"
    return f"{value:.3f} on {', '.join(paper['corpora'])}, not comparable ({paper['task']}, {paper['protocol']})"


def _classes(run: Run) -> list[dict[str, Any]]:
    """For each class its utterances, recall, and the class it is most often mistaken for."""
    names, matrix = run.scores["confusion"]["classes"], np.array(run.scores["confusion"]["matrix"])
    counts = run.predictions.drop_duplicates("utterance")["truth"].value_counts()
    mistakes = matrix - np.diag(np.diag(matrix))
    rows = []
    for k, name in enumerate(names):
        n_mistaken, rival = mistakes[k].max(), names[mistakes[k].argmax()]
        rows.append(
            {
                "name": name,
                "n": int(counts.get(name, 0)),
                "recall": run.scores["metrics"]["recall"][name],
                "taken_for": f"{rival} ({n_mistaken / matrix[k].sum():.2f})" if n_mistaken else "",
            }
        )
    return rows


def _folds(run: Run) -> list[dict[str, Any]]:
    """The scores of each fold and the speakers of its test part, or its corpora where there are many speakers."""
    named = run.predictions.assign(name=speaker_names(run.predictions))
    folds = []
    for scores in run.scores["per_fold"]:
        rows = named[(named["seed"] == scores["seed"]) & (named["fold"] == scores["fold"])]
        speakers = sorted(set(rows["name"]) - {""})
        tested_on = ", ".join(speakers)
        if len(speakers) not in range(1, 5):
            tested_on = ", ".join(sorted(set(rows["corpus"]))) + (f" ({len(speakers)} speakers)" if speakers else "")
        folds.append({**scores, "tested_on": tested_on})
    return folds


class _Verbatim(str):
    """Text that goes into Markdown as it is."""


def _templates(html: bool) -> Environment:
    """Templates whose inserted text is escaped for HTML or for Markdown."""
    environment = Environment(
        loader=PackageLoader("affectra"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=None if html else _escape_markdown,
    )
    environment.filters |= {"fraction": _fraction, "interval": _interval, "duration": _duration, "block": _block}
    return environment


def _escape_markdown(value: object) -> object:
    """Inserted text as plain text inside a Markdown table or line."""
    if isinstance(value, _Verbatim):
        return value
    text = " ".join(str(value).splitlines())
    return "".join(f"&#{ord(letter)};" if letter in "<>&|`*[]\\" else letter for letter in text)


def _block(text: str) -> _Verbatim:
    """Text as an indented Markdown code block, in which nothing needs escaping."""
    return _Verbatim("".join(f"    {line}\n" for line in text.splitlines()))


def _fraction(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _interval(value: list[float] | None) -> _Verbatim:
    return _Verbatim("n/a" if value is None else f"[{value[0]:.3f}, {value[1]:.3f}]")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _figures(run: Run) -> Iterator[tuple[str, str, str, Callable[[Theme], "Figure"]]]:
    """File name, title, alternative text and drawing of each figure."""
    tag = " (synthetic speech)" if run.scores["synthetic"] else ""
    confusion = run.scores["confusion"]
    recalls = ", ".join(f"{name} {_fraction(value)}" for name, value in run.scores["metrics"]["recall"].items())
    yield (
        "confusion",
        f"Confusion matrix{tag}",
        f"Confusion matrix; recall: {recalls}",
        partial(_draw_confusion, confusion),
    )
    for stage, history in run.histories.items():
        name, of_stage = (f"curves-{stage.replace('/', '-')}", f" of {stage}") if stage else ("curves", "")
        n_parts, n_epochs = history["part"].nunique(), history["epoch"].max()
        alt = f"Loss, accuracy and UA over {n_epochs} epochs; thin lines: {n_parts} trainings, thick lines: their mean"
        yield name, f"Learning curves{of_stage}{tag}", alt, partial(_draw_curves, history)


def _draw_confusion(confusion: Mapping[str, Any], theme: Theme) -> "Figure":
    """Counts and shares of the true class; the darker (on dark paper: the lighter), the larger the share."""
    from matplotlib.colors import LinearSegmentedColormap

    classes, counts = confusion["classes"], np.array(confusion["matrix"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = _panels(theme, 1, width=1.5 + 0.66 * len(classes), height=1.2 + 0.58 * len(classes))
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("share", [theme.paper, theme.first]), vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        color = theme.paper if shares[i, j] > theme.turn else theme.ink
        axes.text(j, i, f"{count}\n{shares[i, j]:.2f}", ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(range(len(classes)), classes, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _draw_curves(history: pd.DataFrame, theme: Theme) -> "Figure":
    """Loss above, accuracy on the training part and UA on the dev part below."""
    figure, panels = _panels(theme, 2, width=4.8, height=5.2)
    curves = (
        (panels[0], "train_loss", "train loss", theme.first),
        (panels[0], "dev_loss", "dev loss", theme.second),
        (panels[1], "train_accuracy", "train accuracy", theme.first),
        (panels[1], "dev_ua", "dev UA", theme.second),
    )
    n_parts = history["part"].nunique()
    for axes, column, label, color in curves:
        if history[column].isna().all():
            continue
        table = history.pivot(index="epoch", columns="part", values=column)
        mean = table.mean(axis=1)[table.notna().sum(axis=1) == n_parts]  # else it jumps where a fold stops early
        axes.plot(table.index, table, color=color, linewidth=0.7, alpha=0.35)
        axes.plot(mean.index, mean, color=color, linewidth=2, label=label, marker="o" if len(mean) == 1 else "")
    panels[0].set_ylabel("loss")
    panels[1].set_ylabel("fraction")
    panels[1].set_ylim(0, 1)
    panels[1].set_xlabel("epoch")
    for axes in panels:
        axes.grid(color=theme.faint, linewidth=0.5)
        axes.locator_params(axis="x", integer=True)
        if axes.get_lines():
            axes.legend(facecolor=theme.paper, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=9)
    return figure


def _panels(theme: Theme, n_rows: int, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure of `n_rows` axes below each other in the theme's colours; width and height in CSS inches (96 pixels)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor=theme.paper, layout="constrained")
    panels = list(figure.subplots(n_rows, 1, sharex=True, squeeze=False)[:, 0])
    for axes in panels:
        axes.set_facecolor(theme.paper)
        axes.tick_params(colors=theme.ink, labelsize=10)
        axes.spines[:].set_color(theme.faint)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
    return figure, panels


def _png(figure: "Figure") -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH)
    return stream.getvalue()


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
