"""Restarts that are added until every pair of methods is decided."""

import pytest
from scorebench.reports import api
from scorebench.reports.api import Study
from scorebench.studies.results import read_results
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.specs.tables import Decide
from scorebench.studies.study import run as run_study

from ..calibration.end_to_end import NoisyEngine, null_study, results
from .conftest import contents


@pytest.fixture
def decided(monkeypatch):
    """``sb.run(…, until_decided=True)`` over runs that cost nothing; gives what it reports."""

    def start(study, out, engine=None, **options):
        engine = engine or NoisyEngine()
        monkeypatch.setattr(
            "scorebench.studies.study.run",
            lambda *args, **kwargs: run_study(*args, engine=engine, **kwargs),
        )
        sentences = []
        api.run(study, out, workers=1, until_decided=True, report=sentences.append, **options)
        return sentences

    return start


def rule(study, **fields):
    return study.model_copy(update={"decide": Decide(**fields)})


def test_equal_methods_stay_open_to_the_last_look(decided, tmp_path):
    sentences = decided(rule(null_study(1, 1), restarts=5), tmp_path / "out")
    assert [sentence.split()[0] for sentence in sentences] == ["3", "5"]
    assert "the next look is at 5 restarts, in about" in sentences[0]
    assert sentences[-1].endswith("decide.restarts reached")
    study = Study(tmp_path / "out").spec
    assert (study.search.restarts, study.decide.restarts) == (5, 5)
    assert StudySpec.from_toml(study.to_toml()) == study


def test_a_difference_that_does_not_matter_settles_equal_methods(decided, tmp_path):
    sentences = decided(rule(null_study(1, 1), restarts=12, difference=1.0), tmp_path / "out")
    assert sentences == ["3 restarts: every pair is settled"]
    assert "differ by less than what matters" in Study(tmp_path / "out").verdict()


def test_running_again_continues_where_the_last_look_was(decided, tmp_path):
    study = rule(null_study(2, 1), restarts=5)
    run_study(
        study.model_copy(update={"search": study.search.model_copy(update={"restarts": 3})}),
        tmp_path / "out",
        engine=NoisyEngine(),
    )
    first = decided(study, tmp_path / "out")
    assert [sentence.split()[0] for sentence in first] == ["3", "5"]
    again = decided(study, tmp_path / "out")
    assert [sentence.split()[0] for sentence in again] == ["5"]
    decided(study, tmp_path / "fresh")
    table = contents(tmp_path / "fresh", table_only=True)
    assert contents(tmp_path / "out", table_only=True) == table


def test_claims_are_those_that_all_looks_together_carry(decided, tmp_path):
    """The board claims no more than the spending of its looks allows."""
    decided(rule(null_study(3, 1), restarts=5), tmp_path / "out")
    source = Study(tmp_path / "out").source
    strict = rule(source.study, restarts=5, error=1e-9)
    from scorebench.reports.ranking.evidence import gather

    none = gather(source.results, "mmd", source.planned, strict.decide)
    assert len(none.open) == 6
    assert all(contestant.rank == (1, 4) for contestant in none.contestants)


def test_studies_without_files_have_the_same_table(tmp_path):
    study, engine = null_study(4, 2), NoisyEngine(failing=0.05)
    run_study(study, tmp_path / "out", engine=engine)
    stored = read_results(tmp_path / "out", engine).drop(columns="environment")
    assert stored.equals(results(study, engine).drop(columns="environment"))
