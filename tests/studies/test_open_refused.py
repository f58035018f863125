"""Open places and settings that cannot be run are refused when the study is checked."""

import re

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.studies.engine import Engine
from scorebench.studies.specs.check import check, check_options

from .conftest import make_study
from .fake_engine import FakeEngine


def test_a_grid_needs_lists():
    study = make_study(
        methods=["epsilon"], training={"steps": {"low": 1, "high": 9}, "learning_rate": 0.1},
        search={"sampler": "grid"},
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"needs the values of training.steps: give it a list"):
        check_options(study, FakeEngine())


def test_nothing_is_open_where_nothing_is_searched(engine):
    study = make_study(
        methods=["epsilon"], training={"learning_rate": 0.1, "steps": [1, 2]}, search={"trials": 0}
    )
    with pytest.raises(UsageError, match=r"training.steps .* open: fix it, .* training.steps one"):
        check_options(study, engine)


def test_impossible_options_of_samplers_are_refused(engine):
    for options, message in (
        ({"noise": [1, 2]}, "noise"),
        ({"steps": ["a", 2]}, "walk.steps = 'a': should be a whole number"),
        ({"steps": {"low": 1.5, "high": 2}}, "walk.steps = 1.5: should be a whole number"),
        ({"step_size": [True]}, "walk.step_size = True: should be a number"),
    ):
        study = make_study(samplers=[{"name": "walk", **options}])
        with pytest.raises(UsageError, match=message):
            check_options(study, engine)


def test_ranges_that_lack_an_end_are_explained():
    with pytest.raises(UsageError, match=r"field network.width.high is missing"):
        make_study(network={"width": {"low": 3}})


REFUSED = {
    "twice in a list": ({"methods": [{"name": "alpha", "sigma": [0.1, 0.2, 0.1]}]}, "0.1 twice"),
    "1 and 1.0": ({"samplers": [{"name": "walk", "step_size": [1, 1.0]}]}, "1.0 twice"),
    "twice in a field": ({"training": {"batch_size": [8, 16, 8]}}, "names 8 twice"),
    "rate 0": ({"methods": [{"name": "alpha", "learning_rate": 0}]}, "learning_rate = 0: should"),
    "rate below": ({"methods": [{"name": "alpha", "learning_rate": -0.1}]}, "greater than 0"),
    "rate in a list": ({"methods": [{"name": "alpha", "learning_rate": [0.1, 0.0]}]}, "= 0.0"),
    "rate in a range": (
        {"methods": [{"name": "alpha", "learning_rate": {"low": -1e-3, "high": 1.0}}]}, "-0.001",
    ),
    "long label": ({"methods": [{"name": "alpha", "label": "a" * 240}]}, "is too long: the labels"),
    "long together": (
        {
            "methods": [{"name": "alpha", "label": "a" * 60}],
            "datasets": [{"name": "ring", "label": "b" * 60}],
            "samplers": [{"name": "walk", "label": "c" * 60}],
        },
        "182 characters together",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_fail_later_is_refused_when_the_study_is_checked(case, engine):
    fields, message = REFUSED[case]
    with pytest.raises(UsageError, match=message):
        check(make_study(**fields), engine)


IMPOSSIBLE = {
    "sigma 0": ({"name": "dsm", "sigma": 0}, "sigma = 0.0 is outside of its range (0.02 to 0.5)"),
    "sigma below": ({"name": "dsm", "sigma": -0.1}, "noise level >= 0 is right"),
    "sigma in a range": ({"name": "dsm", "sigma": {"low": -0.1, "high": 0.1}}, "sigma = -0.1 is"),
    "sigma in a list": ({"name": "deen", "sigma": [0.1, 0.0]}, "sigma = 0.0 is"),
    "sigma of deen": ({"name": "deen", "sigma": -0.2}, "noise level >= 0 is right"),
    "no slices": ({"name": "ssm", "n_slices": 0}, "n_slices = 0 is outside of its range (1 to 4)"),
    "fewer": ({"name": "ssm", "n_slices": -1}, "n_slices = -1 is outside of its range (1 to 4)"),
    "none in a list": ({"name": "ssm_vr", "n_slices": [1, 0]}, "n_slices = 0 is"),
    "constant": ({"name": "mle_grid", "cells": 0}, "cells = 0 is outside of its range (96)"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_hyperparameters_of_methods_are_refused_with_their_range(case):
    method, message = IMPOSSIBLE[case]
    study = make_study(
        methods=[method], datasets=["8gaussians"], samplers=["langevin"], objective="sw1"
    )
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        check(study, Engine())
    assert "\n" not in str(caught.value)


def test_a_range_over_a_list_of_numbers_needs_only_hold_some():
    method = {"name": "ssm", "n_slices": {"low": 0, "high": 2}}
    check(
        make_study(methods=[method], datasets=["8gaussians"], samplers=["langevin"],
                   objective="sw1"),
        Engine(),
    )  # fmt: skip
