"""What cannot be measured, sampled or trained is refused when the study is read, with a reason."""

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.specs.load import load_study
from scorebench.studies.specs.spec import StudySpec
from scorebench.studies.study import run

STUDY = """
name = "fit"
methods = {methods}
datasets = {datasets}
samplers = {samplers}
objective = "{objective}"
"""


@pytest.fixture
def read(tmp_path):
    def _read(*overrides, methods='["dsm"]', datasets='["8gaussians"]', samplers='["langevin"]',
              objective="mmd"):  # fmt: skip
        path = tmp_path / "fit.toml"
        text = STUDY.format(
            methods=methods, datasets=datasets, samplers=samplers, objective=objective
        )
        path.write_text(text, "utf-8")
        return load_study(path, overrides)

    return _read


def metrics(*names):
    return f"evaluation.metrics={list(names)!r}"


@pytest.mark.parametrize(
    ("overrides", "fields", "words"),
    [
        ([metrics("mmd", "fisher")], {"datasets": '["rings", "checkerboard"]'},
         ["'fisher'", "'checkerboard'", "density jumps", "fisher_target"]),
        ([metrics("mmd", "fisher_target")], {"datasets": '["checkerboard"]', "methods": '["ssm"]'},
         ["'fisher_target'", "'ssm'", "sigma = 0", "data_noise"]),
        ([metrics("mmd", "kl_reverse")], {"datasets": '["checkerboard"]'}, ["'kl_reverse'", "0"]),
        ([metrics("mmd", "ksd")], {"datasets": '["checkerboard"]'}, ["'ksd'", "jumps"]),
        ([metrics("mmd", "kl")], {"datasets": '[{name = "gaussian_ring", dim = 5}]'},
         ["'kl'", "d = 5"]),
        ([metrics("mmd", "nll"), "network.kind=score"], {}, ["'nll'", "energy"]),
        (["network.kind=score"], {"samplers": '["mala"]'}, ["'mala'", "'dsm'", "energy"]),
        ([], {"samplers": '["grid"]', "datasets": '[{name = "gaussian_ring", dim = 3}]'},
         ["'grid'", "d = 3"]),
        ([], {"samplers": '["pf_ode"]'}, ["'pf_ode'", "'dsm'", "ncsn"]),
        (["network.kind=score"], {"methods": '["mle_grid"]'}, ["'mle_grid'", "energy"]),
        ([], {"methods": '["tsm"]', "datasets": '["checkerboard"]'},
         ["'tsm'", "'checkerboard'", "density jumps"]),
        (["reference.split=true", "network.kind=score"], {}, ["reference.split", "energy"]),
        ([metrics("sw1", "sw2")], {}, ["leaves out the objective", "'mmd'"]),
        ([metrics("mmd", "mmd")], {}, ["twice"]),
        ([metrics("mmd", "mdd")], {}, ["metric 'mdd'", "did you mean 'mmd'"]),
        (['reference.methods=[{name="exact_smoothed", sigma=0.0}]'], {}, ["sigma = 0", "above 0"]),
        (['reference.methods=[{name="kde", sigm=0.1}]'], {}, ["sigm", "sigma"]),
        (['reference.methods=[{name="kde", sigma={low=0.1, high=0.2}}]'], {}, ["range"]),
    ],
)  # fmt: skip
def test_refused(read, overrides, fields, words):
    with pytest.raises(UsageError) as refusal:
        read(*overrides, **fields)
    for word in words:
        assert word in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("overrides", "fields"),
    [
        ([metrics("mmd", "fisher_target", "kl", "nll")], {"datasets": '["checkerboard"]'}),
        ([metrics("mmd", "fisher_target")],
         {"datasets": '["checkerboard"]', "methods": '[{name = "ssm", data_noise = 0.1}]'}),
        ([metrics("mmd", "fisher_target")],
         {"datasets": '["checkerboard"]',
          "methods": '[{name = "ism", data_noise = {low = 0.05, high = 0.2}}]'}),
        ([metrics("mmd", "mmd_exact", "fisher")],
         {"datasets": '[{name = "gaussian_ring", dim = 5}]'}),
        ([], {"samplers": '["pf_ode", "annealed_langevin"]', "methods": '["ncsn"]'}),
        (["reference.split=true"], {"samplers": '["mala", "grid"]', "methods": '["mle_grid"]'}),
        (['reference.methods=["kde", {name="kde", label="kde_wide", sigma=0.4}]'], {}),
    ],
)  # fmt: skip
def test_taken(read, overrides, fields):
    study = read(*overrides, **fields)
    assert StudySpec.from_toml(study.to_toml()) == study


def test_the_objective_is_measured_unless_said_otherwise(read):
    assert read().evaluation.metrics == ("mmd", "sw1", "sw2")
    assert read(objective="kl").evaluation.metrics == ("mmd", "sw1", "sw2", "kl")


def test_constants_are_not_searched_unless_a_range_is_given(read):
    fixed = read("search.trials=0", "training.learning_rate=0.01", methods='["ism"]')
    assert fixed.search.trials == 0
    with pytest.raises(UsageError, match="leaves data_noise of method 'ism' open"):
        read("search.trials=0", "training.learning_rate=0.01",
             methods='[{name = "ism", data_noise = {low = 0.05, high = 0.2}}]')  # fmt: skip


def test_a_study_is_checked_before_every_run(read, tmp_path):
    study = read(metrics("mmd", "nll"))
    changed = study.model_copy(update={"network": study.network.with_values({"kind": "score"})})
    with pytest.raises(UsageError, match="'nll'"):
        run(changed, tmp_path / "run")
    assert not (tmp_path / "run").exists()
