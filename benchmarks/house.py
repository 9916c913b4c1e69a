"""How the source is laid out, in numbers: rooms, layers, size, and what a run and a prediction visit.

    python benchmarks/house.py [SRC ...]

Each SRC is a folder that holds the package `affectra`, this checkout's by default; several are put side by side, so
that a change can be compared with what was before. A room is a package or a module directly below `affectra`. The
run is one epoch of `li2018-cpu` on four dialogues of the embedded corpus, the prediction one of its recordings with
`affectra-base`. `house.md` has results.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "src"
PRIVATE_WORDS = re.compile(r"heard|said|stretch")
RUN = "['run', 'li2018-cpu', '--corpus', {corpus!r}, '--set', {epochs!r}, '--set', {protocol!r}, '--out', {out!r}]"
PROTOCOL = "protocol={name: kfold-speaker, options: {k: 2, dev: false}}"
CALLS = """
import sys, threading
root, calls = {root!r}, set()
def note(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.startswith(root):
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(root):
            caller = caller.f_back
        if caller is not None and frame.f_code.co_name != "<module>" and caller.f_code.co_name != "<module>":
            calls.add((caller.f_code.co_filename, frame.f_code.co_filename))
from affectra.cli import main
sys.setprofile(note); threading.setprofile(note)
code = main({arguments})
sys.setprofile(None)
assert code == 0, code
for pair in sorted(calls):
    print("CALL", *(path[len(root):] for path in pair), sep="\\t")
"""


def room_of(path: str) -> str:
    """The first part of a path below `affectra`, without its ending.

    Example:
        >>> room_of("/audio/mp3.py"), room_of("/files.py")
        ('audio', 'files')
    """
    return path.strip("/").split("/")[0].removesuffix(".py")


def calls(src: Path, arguments: str) -> set[tuple[str, str]]:
    """Pairs of files, caller and called, that a command goes through."""
    script = CALLS.format(root=str(src / "affectra"), arguments=arguments)
    environment = {**os.environ, "PYTHONPATH": str(src)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = (line.split("\t") for line in done.stdout.splitlines() if line.startswith("CALL\t"))
    return {(caller, called) for _, caller, called in lines}


def visited(src: Path, corpus: Path) -> Iterator[tuple[str, int]]:
    """What a run and a prediction go through."""
    with tempfile.TemporaryDirectory() as folder:
        pairs = calls(
            src,
            RUN.format(
                corpus=f"synthetic={corpus}", epochs="training.epochs=1", protocol=PROTOCOL, out=f"{folder}/run"
            ),
        )
        yield "files that a run visits", len({file for pair in pairs for file in pair})
        rooms = {(room_of(a), room_of(b)) for a, b in pairs if room_of(a) != room_of(b)}
        yield "pairs of rooms that call each other in a run", sum((b, a) in rooms for a, b in rooms) // 2
    recording = sorted(corpus.rglob("*.wav"))[0]
    pairs = calls(src, f"['predict', {str(recording)!r}]")
    yield "files that a prediction visits", len({file for pair in pairs for file in pair})


def imported_both_ways(src: Path) -> int:
    """Pairs of rooms with imports in both directions, late ones included."""
    imports = set()
    for path in (src / "affectra").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if name.startswith("affectra."):
                    imports.add((room_of(str(path.relative_to(src / "affectra"))), name.split(".")[1]))
    return sum((b, a) in imports for a, b in imports if a < b)


def layout(src: Path) -> Iterator[tuple[str, int]]:
    """What the source alone shows."""
    package = src / "affectra"
    entries = [p for p in package.iterdir() if p.name != "__pycache__"]
    files = list(package.rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in files]
    yield "entries of src/affectra", len(entries)
    yield "files named continuous_*", sum(path.name.startswith("continuous_") for path in files)
    project = tomllib.loads((src.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    yield "import layers", next(len(contract["layers"]) for contract in contracts if contract["type"] == "layers")
    yield "pairs of rooms with imports both ways", imported_both_ways(src)
    yield "lines of Python", sum(text.count("\n") for text in texts)
    yield "files of more than 400 lines", sum(text.count("\n") > 400 for text in texts)
    names: Counter[str] = Counter()
    n_what = 0
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                n_what += (ast.get_docstring(node) or "").startswith("What")
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names[node.name] += 1
            elif isinstance(node, ast.arg):
                names[node.arg] += 1
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names[node.id] += 1
    yield 'docstrings that begin with "What"', n_what
    yield "names with heard, said or stretch", sum(n for name, n in names.items() if PRIVATE_WORDS.search(name.lower()))


def main(sources: list[Path]) -> None:
    """Print a row a measure and a column a source."""
    from affectra.corpora.synthetic import render

    corpus = render(n_dialogues=4)
    columns = [dict([*layout(src), *visited(src, corpus)]) for src in sources]
    print("| |" + " |".join(f" {src.parent.name}" for src in sources) + " |")
    print("|---|" + "---:|" * len(sources))
    for measure in columns[0]:
        print(f"| {measure} | " + " | ".join(str(column[measure]) for column in columns) + " |")


if __name__ == "__main__":
    main([Path(argument).resolve() for argument in sys.argv[1:]] or [HERE])
