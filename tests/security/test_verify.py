"""Entries of a board: doctored ones are refuted, attacks are named, outcomes say what is true."""

import itertools
import json
import math
import zipfile

import pytest
import scorebench as sb
from hypothesis import given
from hypothesis import strategies as st
from scorebench.datasets.errors import UsageError
from scorebench.studies import trust
from scorebench.studies import verify as module
from scorebench.studies.archive import export
from scorebench.studies.outcome import chance, read_outcome
from scorebench.studies.rundir.read import read_rows
from scorebench.studies.verify import verify

from ..studies.fake_engine import FakeEngine
from .conftest import MICRO
from .strangers import (
    FORGERY,
    LINK,
    PLUGIN,
    TRICKS,
    edited,
    file_changed,
    members_of,
    packed,
    rows_changed,
)


def checked(source, **options):
    return verify(source, engine=FakeEngine(), **options)


@pytest.fixture(scope="session")
def entry(finished, tmp_path_factory):
    """An archive of a finished run; not to be changed."""
    return export(finished, tmp_path_factory.mktemp("entry") / "small.zip", FakeEngine())


def test_an_honest_entry_is_identical(entry, finished):
    outcome = checked(entry, rows=7, seed=3)
    assert (outcome.verdict, outcome.problems, outcome.unchecked) == ("identical", (), ())
    assert outcome.headline == "replayed 7 of 7, identical"
    assert (outcome.ranked, outcome.cells, outcome.winners) == (12, 4, 4)
    # A run directory is verified as its archive.
    assert checked(finished, rows=7, seed=3) == outcome
    assert any("Sandbox: none" in sentence for sentence in outcome.sentences)


def scaled(row):
    row["result"]["metrics"] = {k: float(v) * 0.9 for k, v in row["result"]["metrics"].items()}


def other_width(row):
    row["spec"]["network"]["width"] = 7


def shorter(members):
    members["study.toml"] = members["study.toml"].replace(b"steps = 5\n", b"steps = 6\n")


def other_machine(members):
    described = json.loads(members["environment.json"])
    for machine in described.values():
        machine["cpu"] = {"model": "another", "cores": 1}
    members["environment.json"] = json.dumps(described).encode()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (rows_changed(scaled, phase="confirm", cell=["beta", "ring", "walk"]), "did not replay"),
        (rows_changed(scaled, cell=["truth", "ring", "iid"]), "did not replay"),
        (rows_changed(scaled, cell=["untrained", "ring", "walk"]), "did not replay"),
        (rows_changed(scaled, cell=["exact", "ring", "walk"]), "did not replay"),
        (rows_changed(other_width, phase="confirm"), "its settings are not those of the study"),
        (file_changed("samples/"), "not what the replay of its rows gives"),
        (file_changed("models/"), "not what the replay of its rows gives"),
        (file_changed("fields/"), "not what the replay of its rows gives"),
        (shorter, "its settings are not those of the study"),
    ],
    ids=["metric", "floor", "untrained", "exact", "spec", "sample", "model", "field", "study"],
)
def test_doctored_entries_are_refuted(entry, tmp_path, edit, said):
    doctored = edited(entry, tmp_path / "doctored.zip", edit)
    outcome = checked(doctored, rows=1)
    assert outcome.headline.startswith("refuted: ")
    assert said in outcome.headline


def test_other_code_is_named_first(entry):
    outcome = verify(entry, rows=2, seed=1, engine=FakeEngine(code="2", tilt=0.5))
    changed = "runs did not replay (code of the method changed)"
    assert outcome.headline == f"refuted: {len(outcome.runs)} of {len(outcome.runs)} {changed}"


def test_a_doctored_machine_is_named(entry, tmp_path):
    outcome = checked(edited(entry, tmp_path / "doctored.zip", other_machine))
    assert any("its name is not that of its description" in text for text in outcome.unchecked)
    assert "not checked" in outcome.headline


def test_a_row_that_is_no_winner_is_caught_if_it_is_drawn(entry, tmp_path):
    """A metric that stored samples say nothing of: only a replay can tell."""
    rows = list(map(json.loads, members_of(entry)["runs.jsonl"].splitlines()))
    beta = [r for r in rows if r["phase"] == "confirm" and r["cell"][0] == "beta"]
    last = max(beta, key=lambda row: float(row["result"]["metrics"]["mmd"]))["replicate"]

    def cheaper(row):
        row["result"]["compute"]["train_evaluations"] = 1.0

    edit = rows_changed(cheaper, phase="confirm", cell=["beta", "ring", "walk"], replicate=last)
    doctored = edited(entry, tmp_path / "doctored.zip", edit)
    name = f"confirm {last} of beta-ring-walk"
    verdicts = {name in (o := checked(doctored, rows=3, seed=s)).runs: o.verdict for s in range(9)}
    assert verdicts == {True: "differs", False: "identical"}


@pytest.mark.parametrize(("rows", "drawn", "share"), [(6, 2, 0.3), (5, 5, 0.2), (7, 1, 0.01)])
def test_the_chance_is_that_of_all_draws(rows, drawn, share):
    doctored = set(range(math.ceil(share * rows)))
    draws = list(itertools.combinations(range(rows), drawn))
    met = sum(bool(doctored & set(draw)) for draw in draws) / len(draws)
    assert chance(share, rows, drawn) == pytest.approx(met)


@given(st.floats(0.01, 0.9), st.integers(1, 50), st.integers(1, 10))
def test_of_many_rows_the_chance_is_the_simple_one(share, drawn, repeat):
    rows = 10_000 * repeat
    simple = 1 - (1 - math.ceil(share * rows) / rows) ** drawn
    assert simple <= chance(share, rows, drawn) + 1e-12
    assert chance(share, rows, drawn) == pytest.approx(simple, abs=0.01)


def test_every_row_is_drawn_as_often(finished):
    rows = [row for row in read_rows(finished) if row.slot.phase == "confirm"]
    counts = dict.fromkeys((row.slot for row in rows), 0)
    for seed in range(600):
        for row in module._drawn(rows, seed)[:3]:
            counts[row.slot] += 1
    # 150 expected each; 5 standard deviations of a binomial.
    assert all(abs(count - 150) < 5 * math.sqrt(600 * 0.25 * 0.75) for count in counts.values())
    # Nobody knows the seed before, unless it is given.
    assert module._drawn(rows, 1) == module._drawn(rows[::-1], 1)


def test_outcomes_are_read_back_equal(entry, tmp_path):
    outcome = checked(entry)
    path = tmp_path / "outcome.json"
    path.write_text(outcome.to_json())
    assert read_outcome(path) == outcome
    assert json.loads(path.read_text())["caught"]["0.5"] == pytest.approx(chance(0.5, 12, 5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.pop("seed"), "seed"),
        (lambda data: data.update(outcome=99), "newer"),
        (lambda data: data.update(archive="../x"), "archive"),
        (lambda data: data.update(runs={"confirm 0": "fine"}), "runs"),
    ],
)
def test_what_is_no_outcome_is_refused(entry, tmp_path, change, said):
    data = json.loads(checked(entry).to_json())
    change(data)
    path = tmp_path / "outcome.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match=said):
        read_outcome(path)


@pytest.mark.parametrize(
    "told",
    [
        None,
        {"summary": 3},
        {"runs": {"confirm 0 of alpha-ring-walk": "fine"}},
        {"runs": {"confirm 77 of x": "identical"}},
    ],
)
def test_answers_in_another_form_count_as_none(entry, monkeypatch, told):
    good = {"runs": {}, "summary": "", "changed": [], "problems": [], "unchecked": []}
    monkeypatch.setattr(module, "finish", lambda *_, **__: {} if told is None else good | told)
    with pytest.raises(UsageError, match="cannot be verified"):
        checked(entry)


@pytest.mark.parametrize(("option", "value"), [("rows", 0), ("rows", -1), ("budget", 0.0)])
def test_numbers_that_make_no_sense(entry, option, value):
    with pytest.raises(UsageError, match=f"--{option} {value:g}: must be above 0"):
        checked(entry, **{option: value})


def test_a_budget_that_is_used_up_proves_nothing(entry):
    with pytest.raises(UsageError, match="the budget was too small"):
        checked(entry, budget=1e-9)


def bomb(out):
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("study.toml", b"0" * 50_000_000)


def linked(out):
    with zipfile.ZipFile(out, "w") as file:
        info = zipfile.ZipInfo("study.toml")
        info.create_system, info.external_attr = 3, 0o120777 << 16
        file.writestr(info, "/etc/passwd")


def newer(members):
    members["format.json"] = b'{"format": 99}'


ATTACKS = {
    "path": lambda source, out: edited(source, out, lambda m: m.update({"../canary": b"x"})),
    "absolute": lambda source, out: edited(source, out, lambda m: m.update({"/tmp/canary": b"x"})),
    "module": lambda source, out: edited(source, out, lambda m: m.update({"torch.py": b"1/0"})),
    "newer": lambda source, out: edited(source, out, newer),
    "missing": lambda source, out: packed({"runs.jsonl": b""}, out),
    "bomb": lambda source, out: bomb(out),
    "link": lambda source, out: linked(out),
    "text": lambda source, out: out.write_text("no archive"),
    "nothing": lambda source, out: None,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_named_and_nothing_is_written(entry, tmp_path, command, name):
    ATTACKS[name](entry, tmp_path / "attack.zip")
    before = set(tmp_path.rglob("*"))
    for words in (["verify", "attack.zip"], ["site", "attack.zip"]):
        status, out, err = command(*words)
        assert (status, out) == (2, "")
        assert "attack.zip" in err
        assert len(err.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


def halved(row):
    row["result"]["metrics"] = {k: float(v) / 2 for k, v in row["result"]["metrics"].items()}


@pytest.fixture(scope="module")
def with_code(tmp_path_factory):
    """Make an archive of ``dsm`` and of a method of its own, whose file does something else too."""

    def make(attack):
        folder = tmp_path_factory.mktemp("own")
        (folder / "own.py").write_text(PLUGIN.format(attack=attack, factor=0.5))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(trust.VARIABLE, str(folder / "state"))
            patch.setattr(trust, "_trusted", {})
            patch.chdir(folder)
            study = ["methods=['dsm', 'own']", "plugins=['own.py']", *MICRO[2:], "name='own'"]
            directory = sb.run("quick", folder / "run", workers=1, overrides=study).directory
            return export(directory, folder / "own.zip")

    return make


@pytest.fixture
def verifying(command):
    """Verify an entry whose code runs closed in."""

    def call(*words):
        status, out, err = command("verify", *words)
        if "has no sandbox for it" in err:
            pytest.skip("this machine cannot close a process in, and says so")
        return status, out, err

    return call


def test_code_of_an_entry_runs_closed_in_and_is_not_trusted(with_code, tmp_path, verifying):
    canary = tmp_path / "canary"
    attack = f"try:\n    open({str(canary)!r}, 'w')\nexcept OSError:\n    pass"
    archive = with_code(attack)
    canary.unlink()
    status, out, err = verifying(archive, "--rows", 4)
    assert (status, err) == (0, "")
    assert "replayed 4 of 4, identical\n" in out
    assert "code of its own (own.py), which ran without access to the results" in out
    assert not canary.exists()
    assert trust.trusted() == []

    # Other code under the same name gives other numbers.
    def doctored(members):
        members["study.toml"] = members["study.toml"].replace(b"x + sigma * noise", b"x - sigma")

    status, out, _ = verifying(edited(archive, tmp_path / "doctored.zip", doctored))
    assert status == 1
    assert "did not replay (code of the method changed)" in out


def test_code_that_answers_in_place_of_the_harness_is_refuted(with_code, tmp_path, verifying):
    edit = rows_changed(halved, phase="confirm", cell=["own", "rings", "langevin"])
    doctored = edited(with_code(TRICKS), tmp_path / "doctored.zip", edit)
    status, _, err = verifying(doctored, "--rows", 4)
    assert status == 1, err
    path = next((tmp_path / "proofs").iterdir())
    outcome = read_outcome(path)
    # What its code says agrees with the doctored rows, but its samples do not; and the methods that
    # it did not bring are run without it.
    assert set(outcome.runs.values()) == {"identical"}
    assert len(outcome.runs) == 8
    for said in ("sw1 is not that of the samples of its code", "of its stored samples"):
        assert any(said in problem for problem in outcome.problems)
    assert not any("dsm" in problem for problem in outcome.problems)


@pytest.mark.parametrize(
    ("attack", "said"),
    [(FORGERY, "its process gave an invalid answer"), (LINK, "is a link to another place")],
    ids=["answer", "link"],
)
def test_a_forged_answer_is_none(with_code, tmp_path, verifying, attack, said):
    status, out, err = verifying(with_code(attack))
    assert (status, out) == (2, "")
    assert said in err
    assert list(tmp_path.rglob("*.json")) == []


def test_a_site_runs_no_code_of_entries(with_code, command):
    archive = with_code(FORGERY)
    status, _, err = command("site", archive)
    assert (status, err) == (0, "")
