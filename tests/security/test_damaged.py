"""Damaged and oversized files: one sentence each, before anything large is allocated."""

import io
import json
import os
import resource
import time
import zipfile

import numpy as np
import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.archive import MANIFEST, export, unpack
from scorebench.studies.engine import Engine
from scorebench.studies.execution.forecast import warnings
from scorebench.studies.plan import Plan
from scorebench.studies.progress import status
from scorebench.studies.results import read_results
from scorebench.studies.rundir.arrays import read_arrays
from scorebench.studies.rundir.read import read_study
from scorebench.studies.rundir.strict import parse_json
from scorebench.studies.specs.load import load_study, presets
from scorebench.studies.stored_files import check_directory
from scorebench.studies.study import run

from ..studies.conftest import make_study
from ..studies.fake_engine import FakeEngine

DEEP = "[" * 100_000
SOMEWHERE = '{"a": ' * 30 + "1" + "}" * 30


@pytest.fixture(autouse=True)
def _little_memory_and_time():
    """A test may neither take seconds nor half a gigabyte more than was used before."""
    used, began = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    yield
    now = resource.getrusage(resource.RUSAGE_SELF)
    assert now.ru_maxrss - used.ru_maxrss < 500_000
    assert time.process_time() - began < 10


def refusal(action, *arguments):
    """The sentence with which an action refuses its input."""
    with pytest.raises(UsageError) as caught:
        action(*arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    "text", [DEEP, SOMEWHERE, '{"a": "\\ud800"}', '{"a": 1, "a": 2}', "NaN", "[Infinity]", "{"]
)
def test_what_is_no_strict_json(text):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_json(text)
    assert len(str(caught.value)) < 200


def test_emoji_are_no_surrogates():
    assert parse_json('["\\ud83d\\ude00"]') == ["\N{GRINNING FACE}"]


@pytest.mark.parametrize("name", ["environment.json", "code.json", "format.json"])
@pytest.mark.parametrize("text", [DEEP, "[]", '{"a": "\\udfff"}', "\udcff", "1", '{"a": [1]}'])
def test_tables_that_are_damaged(copied, name, text):
    (copied / name).write_bytes(text.encode(errors="surrogateescape"))

    def use():
        check_directory(copied, Plan(read_study(copied), FakeEngine()))

    assert f"{name}' is damaged" in refusal(use)


@pytest.mark.parametrize("text", ["a = " + DEEP, "a = 1", "a = '\x00'", "\udcff", "name = []"])
def test_studies_that_are_damaged(copied, text):
    (copied / "study.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert "study.toml' is damaged" in refusal(read_study, copied)


@pytest.mark.parametrize(
    "line",
    [
        DEEP,
        "[]",
        '{"discard": 5}',
        '{"discard": [["a", "b", "c"]], "because": 5}',
        '{"discard": [["../a", "b", "c"]], "because": []}',
        '{"cell": ["a", "b", "\\ud800"]}',
        "\udcff",
        "9" * 100_000,
    ],
)
def test_lines_that_are_no_rows(copied, line):
    table = copied / "runs.jsonl"
    rest = table.read_bytes()
    table.write_bytes(f"{line}\n".encode(errors="surrogateescape") + rest)
    assert "line 1 of" in refusal(read_results, copied, FakeEngine())


@pytest.mark.parametrize("name", ["runs.jsonl", "study.toml", "environment.json", "format.json"])
def test_files_of_gigabytes(copied, name):
    with (copied / name).open("r+b") as file:
        file.truncate(10**11)
    assert name in refusal(status, copied, FakeEngine()) if "env" not in name else True
    assert name in refusal(check_directory, copied, Plan(read_study_or_small(copied), FakeEngine()))


def read_study_or_small(directory):
    try:
        return read_study(directory)
    except UsageError:
        return pytest.skip("refused before")


@pytest.mark.parametrize("name", ["runs.jsonl", "study.toml", "environment.json"])
def test_pipes_are_not_waited_for(copied, name):
    (copied / name).unlink()
    os.mkfifo(copied / name)
    refused = refusal(read_results if "env" not in name else check, copied, FakeEngine())
    assert "not a plain file" in refused


def check(directory, engine):
    return check_directory(directory, Plan(read_study(directory), engine))


def npy(shape, form="<f4", body=b"", version=b"\x01\x00"):
    """A member that promises an array of a shape, and holds ``body``."""
    header = f"{{'descr': {form!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + body


def zipped(members, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, content in members:
            archive.writestr(
                zipfile.ZipInfo(name), content, compress_type=options.get("compression")
            )
    return buffer.getvalue()


def pickled():
    buffer = io.BytesIO()
    np.save(buffer, np.array([object, "x"], dtype=object), allow_pickle=True)
    return buffer.getvalue()


NAME = "samples.npy"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no zip", "not a zip"),
        (zipped([(NAME, npy((10**12,)))]), "promises 4,000,000,000,000 bytes, and 0 follow"),
        (zipped([(NAME, npy((2, 2), body=b"0" * 99))]), "promises 16 bytes, and 99 follow"),
        (zipped([(NAME, npy((-2, -2), body=b"0" * 16))]), "has the shape"),
        (zipped([(NAME, npy((10**9,), "<U0"))]), "not numbers or text"),
        (zipped([(NAME, npy((10**9,), "|V0"))]), "not numbers or text"),
        (zipped([(NAME, npy((True, 4), body=b"0" * 16))]), "has the shape"),
        (zipped([(NAME, npy((1,), [("a", "<f4")], b"0000"))]), "not numbers or text"),
        (zipped([(NAME, npy((1,), version=b"\x03\x00"))]), "unknown format"),
        (zipped([(NAME, npy(0.5))]), "shape"),
        (zipped([(NAME, pickled())]), "not numbers or text"),
        (zipped([(NAME, b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)]), "header"),
        (zipped([(NAME, b"0" * 10**7)], compression=zipfile.ZIP_DEFLATED), "is compressed"),
        (zipped((f"{i}.npy", b"") for i in range(60_000)), "60,000 members"),
        (zipped([(NAME, npy((4,), body=b"0" * 16))]), "has shape (4,) instead of 2 dimensions"),
        (zipped([("replicate.npy", npy((1,), "<i8", b"0" * 8))])[:-30], "not a zip"),
    ],
)
def test_artifacts_that_are_damaged_are_left_out_and_named(copied, content, message):
    path = copied / "samples" / "alpha-ring-walk.npz"
    path.write_bytes(content)
    assert message in refusal(read_arrays, path, {"samples": 2})
    (found,) = [text for text in check(copied, FakeEngine()).problems if "samples/alpha" in text]
    assert "it is left out: " in found


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_twice(tmp_path):
    member = npy((1,), body=b"0000")
    (tmp_path / "a.npz").write_bytes(zipped([(NAME, member), (NAME, member)]))
    assert "one name twice" in refusal(read_arrays, tmp_path / "a.npz")


def test_a_model_with_a_huge_header(copied):
    path = copied / "models" / "alpha-ring-walk.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{" * 1000)
    assert any("models/alpha" in text for text in check(copied, FakeEngine()).problems)


@pytest.fixture(scope="module")
def members(finished, tmp_path_factory):
    """The members of an archive."""
    path = export(finished, tmp_path_factory.mktemp("archive") / "small.zip", FakeEngine())
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, members, manifest=None, **options):
    """Write an archive whose manifest agrees with its members, unless one is given."""
    import hashlib

    files = {n: hashlib.sha256(c).hexdigest() for n, c in members.items() if n != MANIFEST}
    text = json.dumps({"archive": 1, "files": files}) if manifest is None else manifest
    path.write_bytes(zipped([*({**members, MANIFEST: text}).items()], **options))
    return path


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ({f"models/a{i}-b-c.npz": b"" for i in range(60_000)}, "members, and at most"),
        ({f"models/a{i}-b-c.npz": b"" for i in range(500)}, "which is of no cell of its study"),
        ({"models/a-b-c-r01.npz": b""}, "it holds 'models/a-b-c-r01.npz'"),
        ({"": b""}, "it holds ''"),
        ({"a\x1b[31m": b""}, "it holds"),
        ({"study.toml/x": b""}, "it holds"),
        ({"CON": b""}, "it holds"),
        ({"x" * 60_000: b""}, "it holds"),
    ],
)
def test_archives_with_other_members(tmp_path, members, further, message):
    bad = packed(tmp_path / "bad.zip", {**members, **further})
    (tmp_path / "place").mkdir()
    assert message in refusal(unpack, bad, tmp_path / "place")


@pytest.mark.parametrize(
    "manifest",
    [DEEP, "[]", '{"archive": 1}', '{"archive": 1, "files": [1]}', '{"archive": [], "files": {}}',
     '{"archive": 1, "files": {"study.toml": ["a"]}}', '{"archive": 1e99, "files": {}}'],
)  # fmt: skip
def test_manifests_that_are_damaged(tmp_path, members, manifest):
    bad = packed(tmp_path / "bad.zip", members, manifest)
    assert "bad.zip" in refusal(unpack, bad, tmp_path)


def test_an_archive_is_unpacked_piece_by_piece(tmp_path, members):
    large = packed(tmp_path / "large.zip", members)
    with large.open("r+b") as file:
        file.truncate(10**10)
    refusal(unpack, large, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        ["--storage", "postgresql+psycopg://me@host:port/x"],
        ["--storage", "postgresql+psycopg://me@host:99999999/x"],
        ["--backend", "dask", "--scheduler", "tcp://host:port"],
        ["--backend", "dask", "--scheduler", "tcp://127.0.0.1:99999"],
        ["--backend", "dask", "--scheduler", "[[["],
    ],
)
def test_ports_that_are_no_numbers(tmp_path, command, options):
    status, _, errors = command("run", "quick", "--workers", 1, "--out", tmp_path / "out", *options)
    assert status == 2
    assert "port" in errors.splitlines()[-1] or "address" in errors.splitlines()[-1]


def test_a_port_of_the_dashboard(copied, command):
    status, _, errors = command("dashboard", copied, "--port", 65536)
    assert (status, len(errors.splitlines())) == (2, 1)


ABSURD = {
    "training.points=100000000": "of memory",
    "training.batch_size=1000000": "of memory",
    "network.width={low=8, high=8192}": "days",
    "training.steps=10000000": "days",
    "evaluation.samples=1000000": "days",
    "search.trials=100000": "runs",
}


@pytest.mark.parametrize("override", ABSURD)
def test_absurd_studies_are_warned_of_before_anything_is_made(command, override):
    # On every machine: many dimensions, a wide network, many restarts.
    dataset = "{name='ladder', dim=128}" if "points" in override else "'rings'"
    width = ["-o", "network.width=2048"] if "batch" in override else []
    further = width if ABSURD[override] == "of memory" else ["-o", "search.restarts=1000"]
    study = ["quick", "-o", override, *further, "-o", f"datasets=[{dataset}]"]
    status, out, _ = command("show", *study)
    assert status == 0
    (warning, *_) = [line for line in out.splitlines() if line.startswith("# WARNING: ")]
    assert ABSURD[override] in warning
    assert override.partition("=")[0] in warning or "runs" in warning


def test_sensible_studies_are_not_warned_of():
    for name in presets():
        assert warnings(Plan(load_study(name), Engine()), 2) == []


def test_a_run_says_so_first(tmp_path):
    class StoppedError(Exception):
        pass

    def listener(event):
        assert any("days" in sentence for sentence in event.warnings)
        raise StoppedError

    study = make_study(training={"steps": 10_000_000}, search={"trials": 100_000})
    with pytest.raises(StoppedError):
        run(study, tmp_path / "out", listener=listener, engine=FakeEngine())
