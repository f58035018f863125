"""Archives: what they hold, that nothing in them is believed, and certificates of their replay."""

import hashlib
import json
import re
import zipfile

import pytest
from scorebench.bench import plugins
from scorebench.datasets.errors import UsageError
from scorebench.reports.pages.certificate import certificate_page, write_certificate
from scorebench.studies.archive import MANIFEST, export, unpack
from scorebench.studies.certificate import certify
from scorebench.studies.replay import replay
from scorebench.studies.results import read_results
from scorebench.studies.study import run
from scorebench.studies.trust import distrust, trust

from .conftest import make_study
from .fake_engine import FakeEngine


class Elsewhere(FakeEngine):
    """Another machine."""

    def environment(self):
        record = {
            "cpu": {"model": "other", "cores": 9}, "packages": {"torch": "2", "pandas": "9"},
            "machine": "fake",
        }  # fmt: skip
        return "other", record


@pytest.fixture(scope="module")
def archive(finished, tmp_path_factory):
    return export(finished, tmp_path_factory.mktemp("archive") / "small.zip", FakeEngine())


def test_equal_studies_give_equal_archives(archive, tmp_path, engine):
    run(make_study(), tmp_path / "again", workers=2, engine=engine)
    again = export(tmp_path / "again", tmp_path / "again.zip", engine)
    assert again.read_bytes() == archive.read_bytes()


def test_an_unpacked_archive_is_a_run_directory(archive, finished, tmp_path, engine):
    folder = unpack(archive, tmp_path)
    assert read_results(folder, engine).equals(read_results(finished, engine))
    for kind in ("samples", "curves", "fields", "models"):
        for path in (finished / kind).iterdir():
            assert (folder / kind / path.name).read_bytes() == path.read_bytes()
    lock = (folder / "requirements.txt").read_text()
    assert re.search(r"^torch==1$", lock, re.MULTILINE), lock
    before = (folder / "runs.jsonl").read_bytes()
    run(make_study(), folder, engine=FakeEngine(delay=60))
    assert (folder / "runs.jsonl").read_bytes() == before


def test_rows_that_the_study_does_not_stand_on_stay_behind(copied, tmp_path, engine):
    grown = make_study(search={"trials": 24}, methods=["alpha"])
    smaller = make_study(methods=["alpha"])
    run(smaller, tmp_path / "a", engine=engine)
    run(grown, tmp_path / "a", engine=engine)
    run(grown, tmp_path / "b", engine=engine)
    one, other = (export(tmp_path / n, tmp_path / f"{n}.zip", engine) for n in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_replay_of_an_archive(archive, engine):
    assert set(replay(archive, engine=engine).verdict) == {"identical"}
    references = {"truth", "exact", "untrained"}
    assert set(replay(archive, "alpha", "ring", engine=engine).method) == {"alpha", *references}


def test_a_certificate_of_identical_numbers(archive, engine):
    found = certify(archive, engine=engine)
    assert found.verdict == "identical"
    assert found.archive == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found.summary == "All 76 numbers of 19 runs are bitwise identical."
    assert found.explanation == ""
    assert found.coverage == (
        "Run again: 12 of 12 ranked, 7 of 7 reference and 0 of 52 search rows (26 %). Not proved: "
        "the search rows that were not run again, so not the choice of winners (--rows 1 runs all "
        "again); running times."
    )
    elsewhere = certify(archive, "alpha", engine=Elsewhere())
    assert elsewhere.explanation == "The numbers are the same although CPU and torch changed."


def test_a_certificate_names_what_explains_it(archive):
    moved = certify(archive, "alpha", engine=Elsewhere(tilt=1.0))
    assert moved.verdict == "differs"
    assert moved.explanation == "This changed and can explain differences: CPU and torch."
    causes = {change.field: change.cause for change in moved.changed}
    assert causes == {
        "cpu.model": "CPU", "cpu.cores": None, "packages.torch": "torch", "packages.pandas": None,
    }  # fmt: skip
    changed = certify(archive, "alpha", engine=FakeEngine(tilt=1.0, code="2"))
    assert changed.explanation == (
        "Differences are expected, because this changed: code of the method."
    )
    riddle = certify(archive, "alpha", engine=FakeEngine(tilt=1.0))
    assert riddle.explanation == (
        "No recorded change explains the differences of alpha, truth, exact and untrained."
    )
    slight = certify(archive, "alpha", engine=FakeEngine(tilt=1e-9))
    assert slight.verdict == "within tolerance"
    assert slight.summary == "Of 40 numbers of 10 runs: 40 within tolerance."


def test_certificates_are_written(archive, tmp_path):
    found = certify(archive, "gamma", engine=Elsewhere(tilt=1.0))
    write_certificate(found, tmp_path / "c.json")
    data = json.loads((tmp_path / "c.json").read_text(), parse_constant=pytest.fail)
    assert data["verdict"] == "differs"
    numbers = {number["metric"]: number for number in data["runs"][0]["numbers"]}
    assert abs(numbers["mmd"]["replayed"] - numbers["mmd"]["stored"] - 1) < 1e-9
    write_certificate(found, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert page == certificate_page(found)
    assert found.explanation in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    with pytest.raises(UsageError, match=r"end in \.html"):
        write_certificate(found, tmp_path / "c.pdf")


def rewritten(archive, target, change, **options):
    """A copy of an archive with other members, whose manifest agrees with them."""
    with zipfile.ZipFile(archive) as opened:
        members = {n: opened.read(n) for n in opened.namelist() if n != MANIFEST}
    manifest = {"archive": 1, "files": {}}
    change(members, manifest)
    for name, content in members.items():
        manifest["files"].setdefault(name, hashlib.sha256(content).hexdigest())
    with zipfile.ZipFile(target, "w", **options) as out:
        out.writestr(MANIFEST, json.dumps(manifest))
        for name, content in members.items():
            out.writestr(name, content)
    return target


def add(name, content=b"x"):
    return lambda members, manifest: members.update({name: content})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (add("../outside"), "it holds '../outside'"),
        (add("/etc/outside"), "it holds '/etc/outside'"),
        (add("models/../../outside"), "it holds"),
        (add("models/a-b-c.pickle"), "it holds 'models/a-b-c.pickle'"),
        (add("models/a-b-c.npz/x"), "it holds"),
        (add("..\\outside"), "it holds"),
        (lambda m, f: m.pop("runs.jsonl"), "damaged: runs.jsonl is missing"),
        (lambda m, f: f["files"].update({"results.csv": "0"}), "results.csv in it was changed"),
        (lambda m, f: f["files"].update({"code.jso": "0"}), "code.jso is missing"),
        (lambda m, f: f.update(archive=2), "is of format 2"),
        (lambda m, f: f.pop("archive"), "manifest.json cannot be read"),
        (add("format.json", b'{"format": 99}'), "is of format 99"),
    ],
)
def test_archives_that_were_tampered_with_are_refused(archive, tmp_path, engine, change, message):
    place = tmp_path / "place"
    place.mkdir()
    bad = rewritten(archive, tmp_path / "bad.zip", change)
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        replay(bad, engine=engine)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*outside*")] == []


def test_bombs_and_other_files_are_refused(archive, tmp_path):
    bomb = rewritten(
        archive, tmp_path / "bomb.zip", add("runs.jsonl", b"0" * 10**7),
        compression=zipfile.ZIP_DEFLATED,
    )  # fmt: skip
    assert bomb.stat().st_size < 10**6
    with pytest.raises(UsageError, match="is compressed"):
        unpack(bomb, tmp_path)
    # One member's bytes, named by two entries, as in bombs that overlap.
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        sizes = [entry.file_size for entry in opened.infolist()]
    name = b"fields/alpha-ring-walk.npz"
    entry = data.rindex(name) - 46
    data[entry + 20 : entry + 28] = (sum(sizes)).to_bytes(4, "little") * 2
    (tmp_path / "overlap.zip").write_bytes(data)
    with pytest.raises(UsageError, match="larger than itself"):
        unpack(tmp_path / "overlap.zip", tmp_path)
    (tmp_path / "cut.zip").write_bytes(archive.read_bytes()[:5000])
    (tmp_path / "text.zip").write_text("hello")
    for path in ("cut.zip", "text.zip"):
        with pytest.raises(UsageError, match="is not an archive"):
            replay(tmp_path / path)


def test_code_of_strangers_is_not_run_unasked(tmp_path, engine):
    trap = tmp_path / "trap"
    code = f"open({str(trap)!r}, 'w').close()\n"
    study = make_study(methods=["alpha"], plugins=[{"file": "mine.py", "code": code}])
    trust(study.code)
    run(study, tmp_path / "run", engine=engine)
    packed = export(tmp_path / "run", tmp_path / "run.zip", engine)
    trap.unlink()
    distrust("mine.py")
    # Elsewhere it has not been executed yet.
    plugins._active.clear()
    with pytest.raises(UsageError, match=r"not yet trusted .*\(mine\.py\).*`scorebench trust"):
        replay(packed, engine=engine)
    assert not trap.exists()
    assert set(replay(packed, engine=engine, trust=True).verdict) == {"identical"}
    assert trap.exists()


def test_export_refuses(finished, tmp_path, engine):
    with pytest.raises(UsageError, match=r"must end in \.zip"):
        export(finished, tmp_path / "x.tar", engine)
    with pytest.raises(UsageError, match="does not exist"):
        export(tmp_path / "nowhere", tmp_path / "x.zip", engine)
    with pytest.raises(UsageError, match="cannot write"):
        export(finished, tmp_path / "no" / "x.zip", engine)
