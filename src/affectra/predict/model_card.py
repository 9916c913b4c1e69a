"""The model card: what an exported model is, what it was measured to do, and what it is not for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from affectra.corpora import CORPORA
from affectra.features.audio.functionals import LICENCE as OPENSMILE
from affectra.features.specification import Specification
from affectra.files import read_json

LIMITS = """
- It judges how people sound, not what they feel: its classes are what listeners or actors called them.
- Scores for languages, rooms, microphones and ways of speaking that it was not trained on are worse than those above.
- Acted emotion, which most corpora hold, is clearer than that of everyday life.
- Not for decisions about people: hiring, insurance, policing, diagnosis, lie detection. In the European Union emotion
  recognition at work and in education is forbidden (AI Act, article 5; medical and safety uses apart), and where it is
  allowed those who are recorded must be informed (article 50).
"""

USE = """
```python
import affectra

model = affectra.load("{name}")  # this folder
answer = model(samples, sample_rate)  # (sample,) in [-1, 1], any rate
print(answer.emotion, answer.scores)
```

Or `affectra predict RECORDING --model {name}`. With ONNX Runtime (`pip install 'affectra[onnx]'`) torch is not needed.
The graph alone, for other programs: input `frames` (segment, time, feature), as the front end in model.json makes
them; output `probabilities` (segment, class), whose mean over segments is the recording's. They are to be calibrated
with calibration.json, where there is one.
"""


def model_card(specification: Specification, name: str, run: Path) -> str:
    """A model card in Markdown.

    Args:
        specification: of the exported model.
        name: what it is called.
        run: the run directory; its scores.json and environment.json are used as far as they are there.
    """
    return "\n".join(_lines(specification, name, _facts(run / "scores.json"), _facts(run / "environment.json")))


def _facts(path: Path) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return facts


def _lines(
    specification: Specification, name: str, scores: Mapping[str, Any], environment: Mapping[str, Any]
) -> Iterator[str]:
    origin = specification.provenance
    yield f"# {name}\n"
    yield f"Recognises emotion in speech: task `{specification.task}`, classes {', '.join(specification.classes)}.\n"
    if specification.synthetic:
        yield "**Trained on synthetic speech alone: it knows nothing of people.**\n"
    if specification.auxiliary:
        yield (
            f"Also gives probabilities of high {' and positive '.join(specification.auxiliary)}, learnt from the "
            "corpora's emotion words by the binary maps of Gao et al. 2022, not from ratings.\n"
        )
    n_networks = origin.get("n_networks", 1)
    made = "one network" if n_networks == 1 else f"{n_networks} networks, one a fold and seed, averaged"
    yield f"- Made of: {made}; recipe `{origin.get('recipe', 'unknown')}`, network `{specification.model['name']}`, "
    yield f"  front end `{specification.front_end['name']}`"
    yield f"- Licence of the weights: {origin.get('licence', 'not stated; the licences of the corpora below bind')}"
    if specification.front_end["name"] == "functionals":
        yield f"- {OPENSMILE}"
    if environment:
        yield f"- Affectra {environment.get('affectra')}, revision {environment.get('git_revision') or 'unknown'}; "
        yield f"  `{environment.get('command')}`"
    yield "\n## Trained on\n"
    yield from _corpora(origin.get("corpora", []), environment.get("corpora", {}))
    yield "\n## Measured\n"
    yield from _measured(scores) if scores else ["Nothing: no scores.json came with it."]
    yield f"\n## Limits\n{LIMITS}"
    yield f"## Use\n{USE.format(name=name)}"


def _corpora(names: list[str], described: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| corpus | languages | utterances | speakers | licence |\n|---|---|---:|---:|---|"
    for name in names:
        info, facts = CORPORA.get(name), described.get(name, {})
        languages = ", ".join(info.languages) if info else ""
        licence = info.licence if info else "ask its owner"
        yield f"| {name} | {languages} | {facts.get('utterances', '')} | {facts.get('speakers', '')} | {licence} |"


def _measured(scores: Mapping[str, Any]) -> Iterator[str]:
    protocol, interval = scores["protocol"], scores["interval"]
    kept = "no speaker is in training and test" if protocol["speaker_independent"] else "SPEAKER-DEPENDENT"
    yield (
        f"On utterances that the network that judged them was not trained on: protocol {protocol['name']} (version "
        f"{protocol['version']}, {kept}), {scores['n_utterances']} utterances of {scores['n_speakers']} speakers, "
        f"{scores['folds_done']} folds."
    )
    if scores.get("n_folds", 1) > 1:
        yield "The exported model was trained on all of these corpora, so it cannot be measured on them again.\n"
    if scores.get("leaks"):
        yield f"**LEAK ({', '.join(scores['leaks'])}): these numbers are too good.**\n"
    if scores.get("alike_speakers"):
        yield f"**MAY BE THE SAME SPEAKER, in training and in test: {'; '.join(scores['alike_speakers'])}**\n"
    if scores.get("normalization", {}).get("transductive"):
        yield "**TRANSDUCTIVE: normalised over many test utterances; a recording alone gets other scores.**\n"
    percent = round(100 * interval["level"])
    yield f"| | value | {percent} % interval |\n|---|---:|---:|"
    titles = {"ua": "unweighted average recall (UA)", "wa": "accuracy (WA)"}
    for metric, title in titles.items():
        yield f"| {title} | {scores['metrics'][metric]:.3f} | {_range(interval.get(metric))} |"
    for emotion, recall in scores["metrics"]["recall"].items():
        yield f"| recall of {emotion} | {'' if recall is None else f'{recall:.3f}'} | |"
    if len(scores["per_corpus"]) > 1:
        for corpus, row in scores["per_corpus"].items():
            yield f"| UA on {corpus} | {row['ua']:.3f} | {_range((row.get('interval') or {}).get('ua'))} |"
    yield f"\nChance of UA: {1 / len(scores['classes']):.3f}. Interval: {interval['method']}."


def _range(interval: list[float] | None) -> str:
    return "" if not interval else f"{interval[0]:.3f} to {interval[1]:.3f}"
