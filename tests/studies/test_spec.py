"""Studies as values."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scorebench.datasets.errors import UsageError
from scorebench.studies.rundir.changes import difference
from scorebench.studies.specs.entries import Choices, Range
from scorebench.studies.specs.spec import StudySpec

from .conftest import make_study

words = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
numbers = st.floats(1e-6, 1e6)
values = st.one_of(
    st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)  # fmt: skip
ranges = st.builds(
    lambda low, width, log: {"low": low, "high": low + width, "log": log},
    numbers, st.floats(1.0, 10.0), st.booleans(),
)  # fmt: skip
choices = st.builds(lambda items: {"choices": items}, st.lists(values, min_size=1, max_size=4))


@st.composite
def entries(draw, settings):
    labels = draw(st.lists(words, min_size=1, max_size=3, unique_by=str.lower))
    taken = {"name", "label", "settings"}
    names = words.filter(lambda word: word not in taken)
    return [
        {
            "name": draw(words),
            "label": f"x_{label}",
            **draw(st.dictionaries(names, settings, max_size=3)),
        }
        for label in labels
    ]


@st.composite
def studies(draw):
    rate = draw(st.one_of(st.floats(1e-6, 9), st.just({"low": 1e-4, "high": 1e-2, "log": True})))
    return make_study(
        methods=draw(entries(st.one_of(values, ranges, choices))),
        datasets=draw(entries(values)),
        samplers=draw(entries(values)),
        seed=draw(st.integers(0, 2**63 - 1)),
        training={"learning_rate": rate, "clip": draw(numbers)},
        network={"width": draw(st.integers(1, 8192)), "kind": draw(st.sampled_from(["score"]))},
    )


@given(studies())
def test_toml_reads_back_equal(study):
    text = study.to_toml()
    again = StudySpec.from_toml(text)
    assert again == study
    assert again.to_toml() == text
    assert difference(study, again) == []


def test_settings_keep_their_kind():
    study = make_study(
        methods=[{"name": "alpha", "a": 1, "b": 1.0, "c": True, "d": {"low": 1, "high": 2},
                  "e": {"choices": [1, 2.5, "x"]}, "f": [1, 2]}],
    )  # fmt: skip
    settings = StudySpec.from_toml(study.to_toml()).methods[0].settings
    assert [type(settings[name]) for name in "abc"] == [int, float, bool]
    assert settings["d"] == Range(low=1.0, high=2.0)
    assert settings["e"] == Choices(choices=(1, 2.5, "x"))
    assert settings["f"] == Choices(choices=(1, 2))


def test_defaults_are_written_out():
    text = make_study().to_toml()
    for line in ("repeats = 2", "clip = 100.0", 'sampler = "tpe"', 'kind = "energy"'):
        assert line in text


def test_difference_names_fields():
    old = make_study()
    new = make_study(training={"steps": 6}, methods=["alpha"], samplers=["jump"])
    assert "training.steps: 5 -> 6" in difference(old, new)
    assert "samplers: [walk] -> [jump]" in difference(old, new)
    assert len(difference(old, new)) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"methods": ["alpha", "Alpha"]},
        {"methods": ["truth"]},
        {"methods": [{"name": "alpha", "label": "exact"}]},
        {"samplers": [{"name": "walk", "label": "iid"}]},
        {"methods": [{"name": "alpha", "label": "a/b"}]},
        {"methods": [{"name": "alpha", "label": "a-b"}]},
        {"methods": [{"name": "alpha", "label": ""}]},
        {"methods": [{"name": "alpha", "sigma": {"low": 2, "high": 1}}]},
        {"methods": [{"name": "alpha", "sigma": {"low": 0, "high": 1, "log": True}}]},
        {"methods": [{"name": "alpha", "sigma": {"choices": []}}]},
        {"methods": [{"name": "alpha", "sigma": []}]},
        {"methods": [{"name": "alpha", "sigma": [[1]]}]},
        {"training": {"steps": [5, -1]}},
        {"training": {"steps": [5, "x"]}},
        {"training": {"steps": {"low": 5.5, "high": 9}}},
        {"training": {"learning_rate": [0.1, "x"]}},
        {"training": {"learning_rate": [0.1, 11]}},
        {"network": {"width": {"low": 0, "high": 9}}},
        {"network": {"activation": ["swish", "relu"]}},
        {"network": {"activation": {"low": 1, "high": 2}}},
        {"network": {"kind": ["energy", "score"]}},
        {"methods": [{"name": "alpha", "sigma": float("nan")}]},
        {"methods": [{"label": "alpha"}]},
        {"methods": [3]},
        {"methods": []},
        {"datasets": [{"name": "ring", "noise": {"low": 0.1, "high": 0.2}}]},
        {"name": "../evil"},
        {"name": ".hidden"},
        {"name": ""},
        {"name": "a" * 101},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": True},
        {"seed": "1"},
        {"seed": 1.5},
        {"training": {"learning_rate": 0}},
        {"training": {"learning_rate": "fast"}},
        {"training": {"learning_rate": {"low": -1.0, "high": 1.0}}},
        {"search": {"batch": 9}},
        {"search": {"batch": 0}},
        {"search": {"sampler": 3}},
        {"search": {"sampler": []}},
        {"search": {"sampler": {"name": "tpe", "n_ei_candidates": {"low": 1, "high": 9}}}},
        {"confirm": {"seeds": 0}},
        {"evaluation": {"samples": 1}},
    ],
)
def test_impossible_studies_are_refused_in_one_line(changes):
    with pytest.raises(UsageError) as caught:
        make_study(**changes)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_reading_a_study_loads_nothing_heavy():
    code = (
        "import sys, scorebench.studies.specs.spec, scorebench.studies;"
        "heavy = {'torch', 'optuna', 'pandas', 'numpy', 'matplotlib', 'pyarrow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
