"""Metrics with options: columns, labels, keys and refusals."""

import pytest
import scorebench as sb
import torch
from scorebench.bench.metrics.mmd import MMD
from scorebench.bench.spec import EvaluationSpec, Plugin, RunSpec
from scorebench.bench.truth import floor_of, judge_of
from scorebench.datasets import UsageError, get_dataset
from scorebench.studies.engine import Engine
from scorebench.studies.plan import Plan
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.spec import StudySpec

STUDY = """
name = "options"
methods = [{name = "dsm", sigma = 0.1, learning_rate = 1e-3}]
datasets = ["8gaussians"]
samplers = ["langevin"]
objective = "wide"

[training]
steps = 5

[search]
trials = 0

[confirm]
seeds = 1

[reference]
methods = []
floors = 1

[evaluation]
samples = 50
metrics = [
    "mmd",
    {name = "mmd", label = "wide", bandwidths = [1.0, 4.0]},
    {name = "precision_loss", k = 3},
    "w2",
]
"""


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text(STUDY)
    return path


def example(study):
    plan = Plan(study, Engine())
    return plan.example(plan.cells[-1])


def test_columns_are_labels_and_values_those_of_the_options(toml, tmp_path):
    study = sb.run(toml, tmp_path / "run", workers=1)
    row = study.results[study.results["method"] == "truth"].iloc[0]
    assert row["state"] == "ok"
    assert {"mmd", "wide", "precision_loss", "w2"} <= set(study.results.columns)
    assert list(study.leaderboard()["method"]) == ["dsm"]
    assert set(sb.replay(tmp_path / "run", "dsm", "8gaussians")["verdict"]) == {"identical"}
    spec = RunSpec.parse(row["spec"])
    judge = judge_of(spec)
    assert judge.metrics["precision_loss"].k == 3
    points = floor_of(spec)[0].float()
    truth = judge.metrics["mmd"].reference
    dataset = get_dataset("8gaussians")
    alone = [MMD(dataset, truth, bandwidths=[width])(points) for width in (1.0, 4.0)]
    assert row["wide"] == pytest.approx(sum(alone) / 2, abs=1e-9)
    assert row["mmd"] == MMD(dataset, truth)(points)
    # By definition, with sums over all pairs.
    for width, value in zip((1.0, 4.0), alone, strict=True):

        def kernel(a, b, width=width):
            return torch.exp(-torch.cdist(a, b).square() / (2 * width**2))

        x, y, n = points.double(), truth, len(points)
        within = sum((kernel(z, z).sum() - n) / (n * (n - 1)) for z in (x, y))
        assert value == pytest.approx(float(within - 2 * kernel(x, y).mean()), abs=1e-6)


def test_a_study_is_read_back_equal(toml):
    study = load_study(str(toml))
    assert study.evaluation.metrics == ("mmd", "wide", "precision_loss", "w2")
    assert StudySpec.from_toml(study.to_toml()) == study
    assert StudySpec.model_validate(study.model_dump(mode="json")) == study


def test_options_are_part_of_the_key_and_defaults_are_not(toml):
    plain = EvaluationSpec(metrics=("mmd", "sw1"))
    assert "measures" not in plain.model_dump_json()
    other = plain.model_copy(update={"measures": {"mmd": Plugin(name="mmd", options={})}})
    assert "measures" in other.model_dump_json()
    three, four, none = (
        example(load_study(str(toml), [f"evaluation.metrics=[{text}]", 'objective="sw1"']))
        for text in (
            '"sw1", {name="precision_loss", k=3}',
            '"sw1", {name="precision_loss", k=4}',
            '"sw1"',
        )
    )
    assert four.evaluation.measures["precision_loss"].options == {"k": 4}
    assert none.evaluation.measures == {}
    assert len({run.key("code") for run in (three, four, none)}) == 3


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ('"mmd", {name="mmd", bandwidths=[1.0]}', "names a metric twice: leave one out, or give"),
        ('"mmd", {name="mmd", label="b", bandwidth=[1.0]}', "'bandwidth': did you mean 'bandwid"),
        ('"mmd", {name="mmd", label="b", bandwidths=[-1.0]}', "holds -1.0: each must be a num"),
        ('"mmd", {name="mmd", label="b", bandwidths=1.0}', "b.bandwidths = 1.0: should be a list"),
        ('"mmd", {name="mmd", label="sw1"}', "'sw1' of the metric 'mmd' is the name of another"),
        ('"mmd", {label="b"}', "needs a name"),
        ('"mmd", {name="precision_loss", k=0}', "k = 0: it must be an integer from 1 to 1000"),
        ('"mmd", {name="sw1", k=0}', "metric 'sw1' takes no options, so k cannot be set"),
        ('"mmd", {name="w2", points={low=2,high=4}}', "is a range"),
        ('"mmd", {name="mdd", bandwidths=[1.0]}', "did you mean 'mmd'"),
        ('"mmd", {name="w2", label="state"}', "called like a column"),
        ('{name="precision_loss", label="mmd_p"}', "leaves out the objective"),
    ],
)
def test_impossible_options_are_refused_in_one_line(toml, metrics, words):
    with pytest.raises(UsageError) as caught:
        load_study(str(toml), [f"evaluation.metrics=[{metrics}]", 'objective="mmd"'])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_diagnostic_metric_cannot_rank_under_a_label(toml):
    overrides = ['evaluation.metrics=[{name="precision_loss", label="p"}]', 'objective="p"']
    with pytest.raises(UsageError, match="is a diagnostic metric"):
        load_study(str(toml), overrides)


def test_samples_of_data_off_the_origin_are_stored_as_they_were_scored(toml, tmp_path):
    overrides = ['datasets=["gmm40"]', 'evaluation.metrics=["sw1", "w2"]', 'objective="sw1"']
    study = sb.run(toml, tmp_path / "run", overrides=overrides, workers=1)
    assert study.source.doubts == []
