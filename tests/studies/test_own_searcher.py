"""Searchers of one's own and of OptunaHub: read, carried, trusted, asked again, refused."""

import json

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.archive import export, unpacked
from scorebench.studies.execution.events import RunsFinished
from scorebench.studies.specs.load import load_study, read_study_file
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.study import run

from .conftest import contents
from .fake_engine import FakeEngine
from .test_searchers import killed_at_every_batch

CLIMBER = '''\
import time

import numpy as np
import optuna


class Climber(optuna.samplers.BaseSampler):
    """Steps away from the best trial; all that it remembers is in itself."""

    def __init__(self, seed=None, step=0.2):
        self._rng = np.random.default_rng(seed)
        self._step = step
        self._best = None

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, name, distribution):
        near = 0.5 if self._best is None else self._best[1].get(name, 0.5)
        share = min(max(near + self._step * self._rng.normal(), 0), 1)
        return distribution.low + share * (distribution.high - distribution.low)

    def after_trial(self, study, trial, state, values):
        shares = {
            name: (trial.params[name] - d.low) / (d.high - d.low)
            for name, d in trial.distributions.items()
        }
        if self._best is None or values[0] < self._best[0]:
            self._best = values[0], shares


class Loose(Climber):
    def sample_independent(self, study, trial, name, distribution):
        return np.random.uniform(distribution.low, distribution.high)


class Late(Climber):
    """Reads the clock once it has seen some trials."""

    def sample_independent(self, study, trial, name, distribution):
        if trial.number > 5:
            return distribution.low + time.perf_counter_ns() % 1000 / 1e4
        return super().sample_independent(study, trial, name, distribution)


class Counting(Climber):
    count = 0

    def sample_independent(self, study, trial, name, distribution):
        Counting.count += 1
        return distribution.low + 0.001 * Counting.count


class Broken(Climber):
    def sample_independent(self, study, trial, name, distribution):
        raise KeyError("no such thing")


class NoSampler:
    pass
'''

STUDY = """\
name = "own"
methods = ["alpha"]
datasets = ["ring"]
samplers = ["walk"]
objective = "mmd"

[training]
steps = 5

[search]
trials = 14
batch = 4
startup = 4
sampler = SAMPLER

[confirm]
seeds = 2

[reference]
floors = 2
seeds = 1

[evaluation]
samples = 4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCOREBENCH_STATE", str(tmp_path / "state"))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "climbing.py").write_text(CLIMBER)
    return tmp_path


def load(folder, sampler):
    (folder / "own.toml").write_text(STUDY.replace("SAMPLER", sampler))
    return load_study(folder / "own.toml", engine=FakeEngine())


def test_a_study_carries_the_text_of_its_searcher(folder):
    study = load(folder, '{ name = "lib/climbing.py:Climber", step = 0.1 }')
    (entry,) = study.search.sampler
    assert (entry.name, entry.label) == ("climbing.py:Climber", "Climber")
    assert [plugin.code for plugin in study.plugins] == [CLIMBER]
    assert StudySpec.from_toml(study.to_toml()) == study
    assert load(folder, '"lib/climbing.py:Climber"').model_dump(mode="json")["search"][
        "sampler"
    ] == "climbing.py:Climber"  # fmt: skip


def test_what_it_remembers_is_restored(folder):
    study = load(folder, '"lib/climbing.py:Climber"')
    run(study, folder / "whole", engine=FakeEngine())
    for lose in (False, True):
        killed_at_every_batch(study, folder / f"{lose}", lose=lose)
        assert contents(folder / f"{lose}") == contents(folder / "whole")
    # The run directory and an archive of it are complete, and need trust elsewhere.
    again = load_study(folder / "whole", engine=FakeEngine())
    assert again == study
    export(folder / "whole", folder / "own.zip", engine=FakeEngine())
    with unpacked(folder / "own.zip") as inside:
        assert read_study_file(inside / "study.toml") == study


@pytest.mark.parametrize("name", ["Loose", "Late", "Counting"])
def test_one_that_cannot_be_asked_again_is_refused_before_anything_runs(folder, name):
    study = load(folder, f'"lib/climbing.py:{name}"')
    with pytest.raises(UsageError) as caught:
        run(study, folder / "run", engine=FakeEngine())
    message = str(caught.value)
    assert message.startswith("trial ")
    assert "asked again" in message
    assert "global generator" in message
    assert "\n" not in message
    assert not (folder / "run").exists()


def test_one_that_proposes_otherwise_later_is_refused_when_the_search_goes_on(folder):
    study = load(folder, '"lib/climbing.py:Climber"')
    with pytest.raises(KeyboardInterrupt):
        run(study, folder / "run", engine=FakeEngine(), listener=_stop_after(12))
    table = folder / "run" / "runs.jsonl"
    lines = table.read_text().splitlines()
    number = next(n for n, text in enumerate(lines) if '"trial":5,' in text)
    row = json.loads(lines[number])
    row["suggested"]["sigma"] *= 1.5
    lines[number] = json.dumps(row, separators=(",", ":"))
    table.write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match=r"trial 5 of alpha-ring-walk: asked again"):
        run(study, folder / "run", engine=FakeEngine())


def _stop_after(rows):
    def listen(event):
        if isinstance(event, RunsFinished) and event.done >= rows:
            raise KeyboardInterrupt

    return listen


def test_another_text_of_it_does_not_fit_the_rows(folder):
    run(load(folder, '"lib/climbing.py:Climber"'), folder / "run", engine=FakeEngine())
    path = folder / "lib" / "climbing.py"
    path.write_text("# a comment\n" + CLIMBER)
    run(load(folder, '"lib/climbing.py:Climber"'), folder / "run", engine=FakeEngine())
    path.write_text(CLIMBER.replace("step=0.2", "step=0.3"))
    with pytest.raises(UsageError, match="code of the search algorithm"):
        run(load(folder, '"lib/climbing.py:Climber"'), folder / "run", engine=FakeEngine())


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ('"lib/climbing.py"', "write the class too"),
        ('"lib/climbing.py:Climer"', "did you mean 'Climber'"),
        ('"lib/climbing.py:NoSampler"', "not a subclass of optuna.samplers.BaseSampler"),
        ('"lib/missing.py:Climber"', "cannot be read"),
        ('"climbing:Climber"', "does not name a file and a class"),
        ('{ name = "lib/climbing.py:Climber", stp = 1 }', "did you mean 'step'"),
        ('{ name = "lib/climbing.py:Climber", seed = 1 }', "unknown option"),
        ('"hub:lib"', "not a folder with an __init__.py"),
        ('{ name = "tpe", label = "a-b" }', "only letters, digits and _"),
        ('{ label = "tpe" }', "needs a name"),
    ],
)
def test_searchers_that_cannot_be_are_refused_in_one_line(folder, sampler, message):
    with pytest.raises(UsageError) as caught:
        load(folder, sampler)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_that_fails_is_named_with_its_line(folder):
    study = load(folder, '"lib/climbing.py:Broken"')
    with pytest.raises(UsageError, match=r"'Broken': climbing.py line \d+: KeyError"):
        run(study, folder / "run", engine=FakeEngine())


HUB = {
    "__init__.py": "from ._inner.climbing import Climber\n\n\n__all__ = ['Climber']\n",
    "_inner/__init__.py": "",
    "_inner/climbing.py": "from __future__ import annotations\nfrom ..names import STEP  # '\n"
    + CLIMBER.replace("step=0.2", "step=STEP"),
    "names.py": 'STEP = 0.2\nODD = """a\\n\\"""""" + \'\'\n',
    "example.py": "raise SystemExit\n",
    "tests/test_it.py": "raise SystemExit\n",
}


def test_a_package_of_the_hub_is_carried_whole(folder):
    for name, code in HUB.items():
        path = folder / "registry" / "climber" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    study = load(folder, '"hub:registry/climber"')
    assert study.search.sampler[0].name == "climber.py:Climber"
    assert load(folder, '"hub:registry/climber:Climber"') == study
    assert StudySpec.from_toml(study.to_toml()) == study
    assert "SystemExit" not in study.plugins[0].code
    run(study, folder / "hub", engine=FakeEngine())
    run(load(folder, '"lib/climbing.py:Climber"'), folder / "own", engine=FakeEngine())
    tables = [contents(folder / name, table_only=True) for name in ("hub", "own")]
    assert tables[0] == tables[1]
    (folder / "registry" / "climber" / "__init__.py").write_text("from .names import STEP\n")
    with pytest.raises(UsageError, match="names nothing in __all__"):
        load(folder, '"hub:registry/climber"')


def test_code_in_a_study_of_others_is_not_run_untrusted(folder, monkeypatch):
    study = load(folder, '"lib/climbing.py:Climber"')
    (folder / "theirs.toml").write_text(study.to_toml())
    monkeypatch.setenv("SCOREBENCH_STATE", str(folder / "other"))
    monkeypatch.setattr("scorebench.studies.trust._trusted", {})
    with pytest.raises(UsageError, match="not yet trusted"):
        load_study(folder / "theirs.toml", engine=FakeEngine())


def test_two_files_of_one_name_are_refused(tmp_path, monkeypatch):
    """The text of one would stand for the other."""
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b", "hub/mine"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("a/mine.py", "b/mine.py", "hub/mine/__init__.py"):
        (tmp_path / file).write_text(CLIMBER.replace("Climber", "MineSampler"))
    mine = ["a/mine.py:MineSampler", "b/mine.py:MineSampler", "hub:hub/mine:MineSampler"]
    for one in mine:
        for other in mine:
            named = f'search.sampler=["{one}", {{name="{other}", label="other"}}]'
            if one == other:
                read_study_file("quick", [named])
                continue
            with pytest.raises(UsageError, match=r"become 'mine\.py': rename one"):
                read_study_file("quick", [named])
    with pytest.raises(UsageError, match=r"become 'mine\.py': rename one"):
        read_study_file(
            "quick", ['plugins=["a/mine.py"]', 'search.sampler="b/mine.py:MineSampler"']
        )
