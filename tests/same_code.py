"""Renew ``bench/same_code.json`` after code was rearranged without moving a bit.

    python -m tests.same_code OLD [OLD_MODULE=NEW_MODULE ...]

OLD is a commit whose results must stay valid. Every module that it had keeps its identity under its
present name, or under the one given; the lines of a module that is gone go to the module named for
it. The program checks that every run keeps its key, and leaves the file alone if one does not.

Renew the file only after the tests have compared the bits: ``tests/studies/test_formats.py``
replays stored results of every method.
"""

import json
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LIST = """
import json
from scorebench.bench import fingerprint
from scorebench.bench.metrics import metrics
from scorebench.datasets import datasets
from scorebench.methods import methods, references, samplers

core = fingerprint._closure([fingerprint._CORE])
parts = {"core": core}
for registry in (methods, references, datasets, samplers, metrics):
    for name, entry in registry.builtin.items():
        parts[f"{registry.kind} {name}"] = fingerprint._closure([entry.module]) - core
code = {}
for module in set().union(*parts.values()):
    path = fingerprint._source(module)
    code[module] = fingerprint._read(path, module)[0]
lines = {module: [f"{module} {digest}"] for module, digest in code.items()}
if hasattr(fingerprint, "same_code"):
    for module, entry in fingerprint.same_code().items():
        if code.get(module) == entry["code"]:
            lines[module] = entry["as"]
print(json.dumps({
    "parts": {part: sorted(modules) for part, modules in parts.items()},
    "code": code,
    "lines": lines,
}))
"""


def listing(folder: Path) -> dict:
    """Modules behind every plug-in of the code in ``folder/scorebench``, with their digests."""
    command = [sys.executable, "-c", LIST]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def checked_out(commit: str, folder: Path) -> Path:
    """Write the files of a commit into ``folder/scorebench``."""
    archive = subprocess.run(
        ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder / "scorebench", filter="data")
    return folder


def renewed(old: dict, new: dict, moved: dict[str, str]) -> dict[str, dict]:
    """The table that gives the new code the identity of the old one.

    Raises:
        SystemExit: Some run would not keep its key.
    """
    lines: dict[str, list[str]] = {module: [] for module in new["code"]}
    for module, before in old["lines"].items():
        target = moved.get(module, module)
        if target not in lines:
            raise SystemExit(f"{module} is gone: give {module}=MODULE")
        lines[target] += before
    for part, modules in old["parts"].items():
        if part not in new["parts"]:
            raise SystemExit(f"{part} is gone")
        before = sorted(line for module in modules for line in old["lines"][module])
        now = sorted(line for module in new["parts"][part] for line in lines[module])
        if before != now:
            names = sorted({line.split()[0] for line in {*before} ^ {*now}})
            raise SystemExit(f"{part} does not keep its identity because of {', '.join(names)}")
    return {
        module: {"code": new["code"][module], "as": sorted(lines[module])}
        for module in sorted(lines)
        if lines[module] != [f"{module} {new['code'][module]}"]
    }


def main() -> None:
    """Compare the work tree with a commit and write the table."""
    commit, *pairs = sys.argv[1:]
    moved = dict(pair.split("=") for pair in pairs)
    with tempfile.TemporaryDirectory() as here, tempfile.TemporaryDirectory() as there:
        (Path(here) / "scorebench").symlink_to(ROOT)
        table = renewed(listing(checked_out(commit, Path(there))), listing(Path(here)), moved)
    (ROOT / "bench" / "same_code.json").write_text(json.dumps(table, indent=1) + "\n")
    print(f"{len(table)} modules keep an earlier identity")


if __name__ == "__main__":
    main()
