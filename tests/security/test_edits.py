"""Edits of a finished run directory, drawn at random: none changes what is shown unnoticed.

The slow test makes ten thousand: ``pytest -m slow tests/security/test_edits.py``.
"""

import json
import os
import random
import shutil
import zipfile

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.archive import export, unpack
from scorebench.studies.certificate import certify
from scorebench.studies.plan import Plan
from scorebench.studies.results import read_results
from scorebench.studies.rundir.artifacts import read_artifact
from scorebench.studies.rundir.changes import difference
from scorebench.studies.rundir.read import read_environments, read_study
from scorebench.studies.stored_files import check_directory

from ..studies.fake_engine import FakeEngine

# Of these the study is the only source; it does not claim them of its runs.
DECLARED = ("name: ", "limits.", "decide")
# Working files, and tables that are made from the others.
UNREAD = ("optuna.journal", ".lock", "results.parquet")


def shown(directory):
    """Everything that tables, figures and pages are made from, as text."""
    arrays = {}
    for kind in ("samples", "curves", "fields"):
        for path in sorted((directory / kind).glob("*.npz")):
            try:
                stored = read_artifact(path)
            except UsageError:
                continue
            arrays[path.name, kind] = {k: (v.shape, v.tobytes()) for k, v in stored.items()}
    table = read_results(directory, FakeEngine())
    times = [name for name in table.columns if name.endswith("_seconds")]
    return {
        "table": table.drop(columns=times).to_csv(),
        "study": read_study(directory),
        "environments": json.dumps(read_environments(directory), sort_keys=True),
        "arrays": arrays,
    }


def outcome(directory, before):
    """What becomes of an edited directory: refused, reported, without effect, or unnoticed."""
    try:
        now = shown(directory)
        found = check_directory(directory, Plan(read_study(directory), FakeEngine()))
        if found.problems or found.open:
            return "reported"
        if now == before:
            return "no effect"
        changed = difference(before["study"], now["study"])
        if now | {"study": 0} == before | {"study": 0} and all(
            text.startswith(DECLARED) for text in changed
        ):
            return "declared"
        proved = certify(directory, rows=1, engine=FakeEngine())
        if proved.verdict == "differs" or proved.replay.open:
            return "reported"
    except UsageError as error:
        return "refused" if "\n" not in str(error) else "unnoticed"
    return "unnoticed"


def leaves(value, path=()):
    """Paths of all parts of parsed JSON."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, inner in items:
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name)


def other(value, draw):
    """Another value for a part of a row."""
    choices = [0, 1, -1, 7, 1e9, "x", "../../x", None, True, [], {}, "inf", "nan"]
    if isinstance(value, bool):
        choices += [not value]
    elif isinstance(value, int | float):
        choices += [value + 1, value * 10, -value, value * (1 + 1e-9), value / 3] * 3
    elif isinstance(value, str):
        choices += [value + "x", value[:-1], value.upper(), value[::-1]] * 2
    return draw.choice([choice for choice in choices if choice != value])


def edit_a_row(directory, draw):
    """Change, remove or add one part of one row, or a row."""
    table = directory / "runs.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    number = draw.randrange(len(rows))
    row = rows[number]
    kind = draw.choice(["part"] * 8 + ["removed", "twice", "swapped", "name", "lost part"])
    *path, name = draw.choice(list(leaves(row)))
    place = row
    for step in path:
        place = place[step]
    if kind == "part":
        place[name] = other(place[name], draw)
    elif kind == "removed":
        del rows[number]
    elif kind == "twice":
        rows.append(row)
    elif kind == "swapped":
        second = rows[draw.randrange(len(rows))]
        row["result"], second["result"] = second["result"], row["result"]
    elif isinstance(place, dict):
        value = place.pop(name)
        if kind == "name":
            place[f"{name}x"] = value
    table.write_text("".join(f"{json.dumps(line)}\n" for line in rows))
    return f"{kind} {number} {path} {name}"


def edit_a_byte(directory, draw):
    """Change, remove or add one byte of one file."""
    files = [p for p in sorted(directory.rglob("*")) if p.is_file() and p.name not in UNREAD]
    path = draw.choice(files)
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    kind = draw.choice(["flipped", "removed", "added"])
    if kind == "flipped":
        data[at] ^= 1 << draw.randrange(8)
    elif kind == "removed":
        del data[at]
    else:
        data.insert(at, draw.randrange(256))
    path.write_bytes(data)
    return f"byte {at} of {path.name} {kind}"


def run_edits(finished, folder, seeds):
    before = shown(finished)
    outcomes = {}
    for seed in seeds:
        draw = random.Random(seed)
        directory = folder / "edited"
        shutil.copytree(finished, directory)
        what = draw.choice([edit_a_row, edit_a_row, edit_a_byte])(directory, draw)
        outcomes[seed, what] = outcome(directory, before)
        shutil.rmtree(directory)
    return outcomes


def assert_none_unnoticed(outcomes):
    # Times are never proved, which every certificate says.
    unnoticed = [
        edit
        for edit, result in outcomes.items()
        if result == "unnoticed" and "_seconds" not in edit[1]
    ]
    assert unnoticed == []


def test_edits_are_noticed(finished, tmp_path):
    outcomes = run_edits(finished, tmp_path, range(150))
    assert_none_unnoticed(outcomes)
    assert {"refused", "reported", "no effect"} <= set(outcomes.values())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thousands_of_edits_are_noticed(finished, tmp_path):
    """A thousand, or as many as SCOREBENCH_EDITS says."""
    count = int(os.environ.get("SCOREBENCH_EDITS", "1000"))
    assert_none_unnoticed(run_edits(finished, tmp_path, range(1000, 1000 + count)))


def test_bytes_of_an_archive(finished, tmp_path):
    archive = export(finished, tmp_path / "small.zip", FakeEngine())
    whole = archive.read_bytes()
    unpack(archive, (tmp_path / "before").mkdir() or tmp_path / "before")
    before = shown(tmp_path / "before")
    for seed in range(60):
        draw = random.Random(seed)
        data, at = bytearray(whole), draw.randrange(len(whole))
        data[at] ^= 1 << draw.randrange(8)
        (tmp_path / "edited.zip").write_bytes(data)
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            unpack(tmp_path / "edited.zip", folder)
        except UsageError:
            continue
        assert shown(folder) == before, f"byte {at}"


def test_an_archive_without_a_file(finished, tmp_path):
    archive = export(finished, tmp_path / "small.zip", FakeEngine())
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    for name in names:
        with zipfile.ZipFile(archive) as file, zipfile.ZipFile(tmp_path / "less.zip", "w") as less:
            for other_name in names:
                if other_name != name:
                    less.writestr(other_name, file.read(other_name))
        with pytest.raises(UsageError):
            certify(tmp_path / "less.zip", engine=FakeEngine())
