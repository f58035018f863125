"""What a stranger may send to a board, and what a process that is closed in tries to do."""

import ctypes
import io
import json
import os
import socket
import subprocess
import zipfile
from pathlib import Path

import numpy as np
from scorebench.studies import archive as archives
from scorebench.studies.rundir.arrays import write_arrays

# A method of one's own, with a place for what its file does when it is imported.
PLUGIN = """
from scorebench.methods import methods
from scorebench.methods.objectives.base import ScoreMatching

{attack}

@methods.register("own")
class Own(ScoreMatching):
    \"\"\"Denoising score matching.\"\"\"

    def space(self, trial):
        return {{"sigma": trial.suggest_float("sigma", 0.2, 0.6)}}

    def loss(self, model, x, rng, *, sigma):
        noise = rng.normal_like(x)
        residual = model.score(x + sigma * noise) + noise / sigma
        return {factor} * residual.square().sum(-1).mean(-1)
"""

# What such a file may try in the process that runs it: to find results, to patch the comparison, to
# print a verdict, and to give metrics that are half as large as they are.
TRICKS = """
import os
from pathlib import Path

if os.environ.get("SCOREBENCH_STATE") == "":
    for folder in (Path.cwd(), Path.cwd().parent):
        for place in (folder, folder / "entry", folder / "again"):
            for name in ("runs.jsonl", "results.csv", "results.parquet", "answer.json", "parts"):
                path = place / name
                try:
                    seen = list(path.iterdir()) if path.is_dir() else path.read_bytes()
                except OSError:
                    continue
                raise SystemExit(f"{path} can be read")
    print("replayed 2 of 2, identical")
    from scorebench.bench import run
    from scorebench.studies import certificate, comparison, integrity, verify
    comparison._verdict = lambda *_: "identical"
    integrity.Findings.problem = lambda *_: None
    verify.finish = lambda *_: {}
    honest = run._score
    run._score = lambda *given: {name: value / 2 for name, value in honest(*given).items()}
"""

# To leave an answer of its own, and end.
FORGERY = """
import json, os

if os.environ.get("SCOREBENCH_STATE") == "":
    told = {"runs": {}, "summary": "All is identical.", "problems": [], "unchecked": []}
    said = {"error": None, "value": told, "closed": ["files: closed", "refused: everything"]}
    open("answer.json", "w").write(json.dumps(said))
    os._exit(0)
"""

# To pass off the samples that are stored as those that it has made.
LINK = """
import os
from pathlib import Path

if os.environ.get("SCOREBENCH_STATE") == "":
    from scorebench.studies.rundir.artifacts import ArtifactFiles

    def keep(files, row, artifacts):
        stored = Path.cwd().parent / "entry" / "samples" / f"{row.slot.cell.stem}.npz"
        files._part(row).parent.mkdir(exist_ok=True)
        files._part(row).symlink_to(stored)

    ArtifactFiles.keep = keep
"""


def members_of(source):
    """The files of an archive by name, without its manifest."""
    with zipfile.ZipFile(source) as file:
        return {name: file.read(name) for name in file.namelist() if name != archives.MANIFEST}


def packed(members, out):
    """Write an archive with a manifest that fits."""
    out.write_bytes(archives._pack(members))
    return out


def edited(source, out, change):
    """Copy an archive after a change of its members, with a manifest that fits."""
    members = members_of(source)
    change(members)
    return packed(members, out)


def rows_changed(change, **where):
    """An edit of the rows of an archive."""

    def edit(members):
        lines, changed = members["runs.jsonl"].decode().splitlines(), 0
        rows = [json.loads(line) for line in lines]
        for row in rows:
            if all(row[name] == value for name, value in where.items()):
                change(row)
                changed += 1
        assert changed
        members["runs.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()

    return edit


def file_changed(folder):
    """An edit of one number in each file of a kind."""

    def edit(members):
        names = [name for name in members if name.startswith(folder)]
        assert names
        for name in names:
            if folder == "models/":
                members[name] = members[name][:-4] + b"\0\0\0?"
            else:
                arrays = dict(np.load(io.BytesIO(members[name])))
                first = next(name for name in arrays if arrays[name].dtype == np.float32)
                arrays[first].flat[0] += 0.25
                members[name] = write_arrays(arrays)

    return edit


def tries(entry: Path, outside: str, secret: str, home: str) -> dict[str, str]:
    """Try what a process that is closed in cannot do; say what came of each."""
    target, kept = Path(outside), Path(secret)
    attempts = {
        "write": lambda: target.write_text("x"),
        "read": lambda: kept.read_text(),
        "list": lambda: list(target.parent.iterdir()),
        "list home": lambda: list(Path(home).iterdir()),
        "passwords": lambda: Path("/etc/passwd").read_text(),
        "others": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "truncate": lambda: os.truncate(secret, 0),
        "remove": lambda: kept.unlink(),
        "rename": lambda: kept.rename(entry / "stolen"),
        "link": lambda: (entry / "linked").hardlink_to(kept),
        "mode": lambda: kept.chmod(0o777),
        "time": lambda: os.utime(secret, (0, 0)),
        "attribute": lambda: os.setxattr(secret, "user.x", b"x"),
        "socket": lambda: socket.socket(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX),
        "fork": os.fork,
        "program": lambda: subprocess.run(["/bin/true"], check=True),
        "signal": lambda: os.kill(os.getppid(), 0),
        "shared memory": _shared_memory,
    }
    said = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            said[name] = "done"
        except OSError as error:
            said[name] = type(error).__name__
    (entry.parent / "own").write_text("x")
    said["own folder"] = (entry.parent / "own").read_text()
    said["environment"] = ",".join(sorted(os.environ))
    return said


def _shared_memory():
    library = ctypes.CDLL(None, use_errno=True)
    if library.shmget(0, 4096, 0o1600) < 0:
        raise PermissionError(ctypes.get_errno(), "refused")


def forever(entry: Path) -> dict[str, str]:
    while True:
        pass


def greedy(entry: Path) -> dict[str, str]:
    return {"length": str(len(bytearray(1 << 50)))}


def forging(entry: Path) -> dict[str, str]:
    (entry.parent / "answer.json").write_text("[" * 100_000)
    os._exit(0)


def silent(entry: Path) -> dict[str, str]:
    os._exit(3)


def linking(entry: Path) -> dict[str, str]:
    (entry.parent / "answer.json").symlink_to("/etc/hostname")
    os._exit(0)
