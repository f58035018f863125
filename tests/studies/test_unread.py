"""Rows of code that is not trusted are held against the study without that code."""

import json
import shutil

import pytest
import scorebench as sb
from scorebench.bench import plugins
from scorebench.datasets.errors import UsageError
from scorebench.methods import methods
from scorebench.studies import trust
from scorebench.studies.archive import export
from scorebench.studies.engine import Engine
from scorebench.studies.replay import check
from scorebench.studies.rundir.read import read_study
from scorebench.studies.stored_files import check_directory
from scorebench.studies.unread import Unread, plan_of
from scorebench.studies.verify import verify

from .test_own_models import DOORS, SIZE

THEIRS = """
from scorebench.methods import methods
from scorebench.methods.objectives.dsm import DSM


@methods.register("unread")
class Theirs(DSM):
    \"\"\"A space with branches, whose values are not the options.\"\"\"

    def space(self, trial):
        kind = trial.suggest_categorical("kind", ["flat", "steep"])
        sigma = trial.suggest_float("sigma", 0.1, 1, log=True)
        slope = trial.suggest_int("slope", 1, 4) if kind == "steep" else 1
        return {"sigma": sigma / slope}
"""

METHODS = (
    'methods=["dsm", "unread", {name="unread", label="flat", kind="flat", sigma=0.3}, '
    '{name="unread", label="narrow", kind=["steep", "flat"], sigma={low=0.2, high=0.4}}, '
    '"normal", {name="fitted", jitter=0.25}]'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run directory with methods of its own, finished; not to be changed."""
    folder = tmp_path_factory.mktemp("unread")
    (folder / "doors.py").write_text(DOORS)
    (folder / "theirs.py").write_text(THEIRS)
    given = [setting for setting in SIZE if not setting.startswith(("plugins", "datasets"))]
    own = [METHODS, 'plugins=["doors.py", "theirs.py"]', 'datasets=["rings", "moons"]']
    searched = ["training.steps=[8, 10]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(trust.VARIABLE, str(folder / "state"))
        patch.chdir(folder)
        settings = [o for o in given if not o.startswith("training.steps")] + own + searched
        directory = sb.run("quick", folder / "run", workers=1, overrides=settings).directory
        export(directory, folder / "run.zip")
    return directory


@pytest.fixture
def archive(made):
    return made.with_suffix(".zip")


@pytest.fixture
def stranger(made, tmp_path, monkeypatch):
    """The same, as somebody has it who has neither trusted nor imported the code."""
    monkeypatch.setenv(trust.VARIABLE, str(tmp_path / "state"))
    monkeypatch.setattr(trust, "_trusted", {})
    monkeypatch.setattr(plugins, "_active", {})
    own = ("unread", "normal", "fitted", "loose")
    names = tuple(name for name in methods.names() if name not in own)
    monkeypatch.setattr(methods, "names", lambda: names)
    return shutil.copytree(made, tmp_path / "run")


def edited(directory, change, **where):
    """Change rows of a run directory; return it."""
    table = directory / "runs.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    chosen = [row for row in rows if all(row[name] == value for name, value in where.items())]
    assert chosen
    for row in chosen:
        change(row)
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


def test_honest_rows_fit_without_the_code(stranger):
    plan = plan_of(stranger)
    assert isinstance(plan.engine, Unread)
    assert plan.engine.own == {"unread", "normal", "fitted"}
    found = check_directory(stranger, plan)
    assert (found.problems, found.open) == ([], [])
    checked = check(stranger, plan)
    assert (checked.found.problems, checked.found.open) == ([], [])
    assert plugins._active == {}
    trust.trust(read_study(stranger).code)
    assert type(plan_of(stranger).engine) is Engine


def test_methods_of_all_kinds_replay_apart_from_their_results(stranger, archive):
    outcome = verify(archive, rows=8, seed=5)
    if not outcome.closed:
        pytest.skip("this machine cannot close a process in, and says so")
    assert (outcome.verdict, outcome.problems, outcome.unchecked) == ("identical", (), ())
    assert (outcome.drawn, outcome.winners, outcome.trusted) == (8, 12, ())


def longer(row):
    row["spec"]["training"]["steps"] = 9


def wider(row):
    row["spec"]["network"]["width"] = 5


def beyond(row):
    row["suggested"]["sigma"] = 0.5


def unknown(row):
    row["suggested"]["training.batch_size"] = 64


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        (longer, {"phase": "confirm", "cell": ["unread", "rings", "langevin"]}, "not those of the"),
        (longer, {"phase": "search", "cell": ["narrow", "rings", "langevin"]}, "not those of the"),
        (wider, {"phase": "confirm", "cell": ["flat", "moons", "langevin"]}, "not those of the"),
        (beyond, {"trial": 1, "phase": "search", "cell": ["narrow", "moons", "langevin"]}, "lead"),
        (unknown, {"trial": 1, "phase": "search", "cell": ["unread", "moons", "langevin"]}, "lead"),
    ],
)
def test_what_the_study_does_not_lead_to_is_found_without_the_code(stranger, change, where, said):
    edited(stranger, change, **where)
    found = check_directory(stranger, plan_of(stranger))
    assert any(said in problem for problem in found.problems), (found.problems, found.open)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"rings"', '"mine"', "dataset 'mine'"),
        ('"tpe"', '"doors.py:Mine"', "'doors.py:Mine'"),
        ('width = 4\ndepth = 2\nactivation = "swish"', 'module = "doors.py:Net"', "doors.py:Net"),
    ],
)
def test_only_methods_may_be_unread(stranger, old, new, named):
    text = (stranger / "study.toml").read_text()
    assert old in text
    (stranger / "study.toml").write_text(text.replace(old, new))
    with pytest.raises(
        UsageError, match="untrusted code, which is allowed for methods only"
    ) as told:
        plan_of(stranger)
    assert named in str(told.value)
    assert "\n" not in str(told.value)
