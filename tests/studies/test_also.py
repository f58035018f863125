"""Further samplers of a trained model (``evaluation.also``) and their columns."""

import pytest
import scorebench as sb
from scorebench.datasets.errors import UsageError
from scorebench.studies.specs.spec import StudySpec

ALSO = """
also = [
    { name = "langevin", label = "keeps", start = "data", steps = 100 },
    { name = "smc_langevin", label = "weighs", steps = 20, box = 4.5 },
]
"""


@pytest.fixture(scope="module")
def with_samplers(tmp_path_factory, tiny_toml):
    folder = tmp_path_factory.mktemp("also")
    path = folder / "also.toml"
    path.write_text(tiny_toml.read_text() + ALSO)
    sb.run(path, folder / "out", workers=1)
    return folder / "out"


def test_columns_hold_the_metrics_of_each_further_sampler(with_samplers, tiny_run):
    results, plain = sb.Study(with_samplers).results, sb.Study(tiny_run).results
    ranked = results[(results.phase != "search") & (results.method != "truth")]
    for label in ("keeps", "weighs"):
        for metric in ("mmd", "sw1", "sw2"):
            assert ranked[f"{label}.{metric}"].notna().all()
    hidden = results[(results.phase == "search") | (results.method == "truth")]
    assert hidden["keeps.sw1"].isna().all()
    # Further samplers change neither searches nor rankings.
    assert results["sw1"].tolist() == plain["sw1"].tolist()
    search = results.phase == "search"
    assert results[search]["key"].tolist() == plain[search]["key"].tolist()
    board, other = sb.leaderboard(with_samplers), sb.leaderboard(tiny_run)
    assert board[["method", "score"]].equals(other[["method", "score"]])


def test_the_exact_score_keeps_the_data(with_samplers):
    results = sb.Study(with_samplers).results
    mean = results.groupby("method")["keeps.mmd"].mean()
    # An untrained network does not.
    assert mean["exact"] < 0.5 * mean["untrained"]


def test_a_study_with_further_samplers_is_written_and_read_back(with_samplers):
    study = sb.Study(with_samplers).spec
    assert [entry.label for entry in study.evaluation.also] == ["keeps", "weighs"]
    assert StudySpec.from_toml(study.to_toml()) == study
    assert sb.replay(with_samplers, "dsm", "rings")["verdict"].eq("identical").all()


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ('["nuts"]', "unknown sampler 'nuts'"),
        ('["grid", "grid"]', "evaluation.also: the label 'grid' is taken"),
        ('[{name = "langevin", label = "split"}]', "evaluation.also: the label 'split' is taken"),
        ('[{name = "langevin", start = "here"}]', 'give "data", or leave it out'),
        ('[{name = "langevin", steps = [1, 2]}]', "steps = .1, 2.: should be a whole number"),
    ],
)
def test_impossible_samplers_are_refused_when_the_study_is_read(tiny_toml, also, message):
    with pytest.raises(UsageError, match=message):
        sb.load_study(tiny_toml, [f"evaluation.also={also}"])
