"""From text to a study, and one clear line for everything that is not one."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scorebench.bench.plugins import read_plugin
from scorebench.datasets.errors import UsageError
from scorebench.studies.specs.load import PRESETS, default_directory, load_study, presets
from scorebench.studies.specs.spec import StudySpec

from .fake_engine import FakeEngine

TEXT = """
name = "mine"
methods = ["alpha", {name = "beta", kind = "flat"}]
datasets = ["ring"]
samplers = [{name = "walk", steps = 3}]
objective = "mmd"
[training]
steps = 10
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    return path


def refusal(path, *overrides):
    with pytest.raises(UsageError) as caught:
        load_study(path, overrides, FakeEngine())
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["quick", "seeds", "compare"])
def test_packaged_studies_can_be_run(name):
    study = load_study(name)
    assert study.name == name
    assert presets()[name]
    assert {entry.name for entry in study.methods} == {"dsm", "deen", "ssm", "ssm_vr"}
    assert {e.name for e in study.datasets} == {"8gaussians", "2spirals", "checkerboard", "rings"}
    assert StudySpec.from_toml(study.to_toml()) == study


def test_packaged_studies_keep_their_promises():
    seeds, compare = load_study("seeds"), load_study("compare")
    assert seeds.search.trials == 0
    assert (seeds.network.kind, seeds.network.width, seeds.network.depth) == ("energy", 300, 2)
    assert seeds.network.activation == "swish"
    training = seeds.training
    assert (training.steps, training.batch_size, training.clip) == (50_000, 100, 100.0)
    assert training.learning_rate == 1e-3
    assert seeds.samplers[0].settings == {"step_size": 0.01, "steps": 100, "box": 4.0}
    assert load_study("seeds", ["training.steps=2000"]).training.steps == 2000
    assert compare.search.trials >= 40
    assert compare.search.restarts >= 10


def test_every_packaged_study_is_listed():
    assert set(presets()) == {path.stem for path in PRESETS.glob("*.toml")}


def test_overrides(path):
    study = load_study(
        path,
        [
            "training.steps=500", "training.learning_rate = {low=1e-3, high=1e-2, log=true}",
            'datasets=["plane"]', "objective=sw1", "search.trials=7", "search.trials = 7",
            "network={width=8, depth=1}",
        ],
        FakeEngine(),
    )  # fmt: skip
    assert study.training.steps == 500
    assert study.training.learning_rate.high == 1e-2
    assert [entry.label for entry in study.datasets] == ["plane"]
    assert study.objective == "sw1"
    assert study.search.trials == 7
    assert study.network.width == 8


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["training.stps=3"], ["training.stps", "did you mean 'training.steps'"]),
        (["trainin.steps=3"], ["'trainin'", "did you mean 'training'"]),
        (["training.steps=many"], ["training.steps = 'many'", "integer"]),
        (["training.steps=1.5"], ["training.steps = 1.5", "integer"]),
        (["training.steps=true"], ["training.steps = True", "integer"]),
        (["training.steps=-1"], ["training.steps = -1", "greater than or equal to 0"]),
        (["training.steps=1979-05-27"], ["training.steps", "integer"]),
        (["evaluation.samples=1"], ["evaluation.samples = 1", "2"]),
        (["training=3"], ["training = 3", "should be a table"]),
        (["training.steps.more=3"], ["training.steps", "field of a range 'more'"]),
        (["methods.alpha=3"], ["methods is a list"]),
        (["datasets=ring"], ["'ring' is not a list", '["ring"]']),
        (['datasets=["rng"]'], ["dataset 'rng'", "did you mean 'ring'"]),
        (['methods=["alfa"]'], ["method 'alfa'", "did you mean 'alpha'"]),
        (['samplers=["wlk"]'], ["sampler 'wlk'", "did you mean 'walk'"]),
        (["objective=mdm"], ["metric 'mdm'", "did you mean 'mmd'"]),
        (['reference.methods=["exct"]'], ["reference 'exct'", "did you mean 'exact'"]),
        (['methods=[{name="alpha", sigm=1.0}]'], ["'alpha' 'sigm'", "did you mean 'sigma'"]),
        (['methods=[{name="alpha", sigma="x"}]'], ["sigma = 'x'", "number"]),
        (['methods=[{name="beta", kind="steap"}]'], ["'steap'", "'flat', 'steep'"]),
        (['methods=[{name="gamma", width=1.5}]'], ["width = 1.5", "whole number"]),
        (['samplers=[{name="walk", step=1}]'], ["'step'", "did you mean 'steps'"]),
        (['samplers=[{name="walk", steps=1.5}]'], ["walk.steps = 1.5", "whole number"]),
        (['datasets=[{name="ring", noise="x"}]'], ["ring.noise = 'x'", "a number"]),
        (['datasets=[{name="ring", noise=-1}]'], ["noise = -1", "positive"]),
        (["seed=1", "seed=2"], ["'seed=1'", "'seed=2'", "contradict"]),
        (["seed=1", "seed=true"], ["contradict"]),
        (["training={steps=3}", "training.steps=3"], ["contradict", "part of training"]),
        (["training.steps.x=3", "training.steps=3"], ["contradict"]),
        (["steps"], ["'steps'", "key=value"]),
        (["=3"], ["key=value"]),
        (["training..steps=3"], ["key=value"]),
        (["seed=[1"], ["not valid TOML"]),
        (["seed=1\nname='x'"], ["not valid TOML"]),
        (["seed="], ["not valid TOML"]),
        (["search.trials=0"], ["search.trials = 0", "sigma, learning_rate", '{name = "alpha"']),
        (["search.trials=0", 'methods=["epsilon"]'], ["learning_rate", "training.learning_rate ="]),
    ],
)
def test_refusals_say_what_is_wrong_and_what_is_right(path, overrides, parts):
    message = refusal(path, *overrides)
    for part in parts:
        assert part in message


def test_nothing_to_search_is_fine_once_all_is_fixed(path):
    load_study(
        path,
        [
            "search.trials=0", "training.learning_rate=0.1",
            'methods=[{name="alpha", sigma=0.1}, {name="beta", sigma=0.1, kind="flat", count=8}]',
        ],
        FakeEngine(),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["quik", "./quick.tml", "nowhere/x.toml", "x.toml", "", "a\0b"])
def test_missing_files(name):
    assert "quick" in refusal(name)


def test_unreadable_files(tmp_path):
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    assert "cannot be read" in refusal(folder)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refusal(binary)
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "a"\nmethods = [\n')
    assert re.search(r"not valid TOML.*(line 3|end of document)", refusal(broken))
    deep = tmp_path / "deep.toml"
    deep.write_text("x = " + "[" * 20_000)
    assert "not valid TOML" in refusal(deep)
    long = tmp_path / "long.toml"
    long.write_text("seed = " + "9" * 6000)
    refusal(long)


def test_a_missing_field_is_named(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('name = "a"\nmethods = ["alpha"]\ndatasets = ["ring"]\nobjective = "mmd"\n')
    assert "the field samplers is missing" in refusal(path)


def loads_or_refuses(path, overrides=()):
    try:
        load_study(path, overrides, FakeEngine())
    except UsageError as error:
        message = str(error)
    else:
        return
    assert message
    assert "\n" not in message


fields = st.sampled_from(
    ["name", "seed", "methods", "datasets", "samplers", "objective", "search.trials", "training",
     "training.steps", "training.learning_rate", "network.kind", "confirm.seeds", "reference",
     "evaluation.samples", "search.batch", "a.b", ""]
)  # fmt: skip
texts = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["true", "[]", "{}", '"x"', '["alpha"]', '[{name="alpha", sigma={low=1,high=0}}]',
         "{low=1}", "{choices=[]}", '[{name="beta", kind=1}]', "1979-05-27", "07:32:00", "nan",
         "[[[[]]]]", '[{name="walk", label="\\u0000"}]', "0x1f", "1e400", '[{name=["a"]}]',
         '[{name="alpha", settings={x=1}}]', '[{name="alpha", settings=3, label=[]}]']
    ),
)  # fmt: skip


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.builds("{}={}".format, fields, texts) | st.text(max_size=12), max_size=4))
def test_random_overrides_never_break_it(path, overrides):
    loads_or_refuses(path, overrides)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(TEXT)), st.integers(0, 30), st.text(max_size=10))
def test_damaged_files_never_break_it(path, start, length, replacement):
    damaged = path.with_name("damaged.toml")
    damaged.write_text(TEXT[:start] + replacement + TEXT[start + length :], encoding="utf-8")
    loads_or_refuses(damaged)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_text(path, encoding):
    plain = load_study(path, (), FakeEngine())
    path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))
    assert load_study(path, (), FakeEngine()) == plain
    plugin = path.with_name("mine.py")
    plugin.write_bytes("x = 1\n".encode(encoding))
    assert read_plugin(plugin).code == "x = 1\n"


def test_a_run_directory_is_the_study_in_it(path, tmp_path):
    study = load_study(path, (), FakeEngine())
    folder = tmp_path / "runs"
    folder.mkdir()
    assert "directory without study.toml" in refusal(folder)
    (folder / "study.toml").write_text(study.to_toml())
    assert load_study(folder, (), FakeEngine()) == study
    assert default_directory(folder, study) == folder
    assert default_directory(path, study) == Path("runs") / study.name
