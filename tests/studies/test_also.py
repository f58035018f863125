"""One training, several questions: further samplers of a trained model in columns of their own."""

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
def asked(tmp_path_factory, tiny_toml):
    folder = tmp_path_factory.mktemp("also")
    path = folder / "also.toml"
    path.write_text(tiny_toml.read_text() + ALSO)
    sb.run(path, folder / "out", workers=1)
    return folder / "out"


def test_columns_hold_the_metrics_of_each_further_sampler(asked, tiny_run):
    results, plain = sb.Study(asked).results, sb.Study(tiny_run).results
    ranked = results[(results.phase != "search") & (results.method != "truth")]
    for label in ("keeps", "weighs"):
        for metric in ("mmd", "sw1", "sw2"):
            assert ranked[f"{label}.{metric}"].notna().all()
    hidden = results[(results.phase == "search") | (results.method == "truth")]
    assert hidden["keeps.sw1"].isna().all()
    # Searches, rankings and their numbers do not see the further samplers.
    assert results["sw1"].tolist() == plain["sw1"].tolist()
    search = results.phase == "search"
    assert results[search]["key"].tolist() == plain[search]["key"].tolist()
    board, other = sb.leaderboard(asked), sb.leaderboard(tiny_run)
    assert board[["method", "score"]].equals(other[["method", "score"]])


def test_the_exact_score_keeps_the_data(asked):
    results = sb.Study(asked).results
    mean = results.groupby("method")["keeps.mmd"].mean()
    # A network of eight units that was trained for thirty steps does not.
    assert mean["exact"] < 0.5 * mean["untrained"]


def test_a_study_with_further_samplers_is_written_and_read_back(asked):
    study = sb.Study(asked).spec
    assert [entry.label for entry in study.evaluation.also] == ["keeps", "weighs"]
    assert StudySpec.from_toml(study.to_toml()) == study
    assert sb.replay(asked, "dsm", "rings")["verdict"].eq("identical").all()


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ('["nuts"]', "unknown sampler 'nuts'"),
        ('["grid", "grid"]', "evaluation.also: the label 'grid' is taken"),
        ('[{name = "langevin", label = "split"}]', "evaluation.also: the label 'split' is taken"),
        ('[{name = "langevin", start = "here"}]', 'give "data", or leave it out'),
        ('[{name = "langevin", steps = [1, 2]}]', "only methods and samplers are searched"),
    ],
)
def test_impossible_samplers_are_refused_when_the_study_is_read(tiny_toml, also, message):
    with pytest.raises(UsageError, match=message):
        sb.load_study(tiny_toml, [f"evaluation.also={also}"])
