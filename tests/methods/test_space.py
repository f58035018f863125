"""What a method may suggest, and the error that it gets for anything else."""

import random

import pytest
from scorebench.datasets.errors import UsageError
from scorebench.methods.space import branches, survey


def fixed(name="a", low=0.0, high=1.0, **keywords):
    return lambda trial: {name: trial.suggest_float(name, low, high, **keywords)}


def chosen(*choices):
    return lambda trial: {"k": trial.suggest_categorical("k", choices)}


def dependent(trial):
    a = trial.suggest_categorical("a", ["x", "y"])
    return {"a": a, "b": trial.suggest_categorical("b", [1, 2] if a == "x" else [3, 4])}


def other_kind(trial):
    a = trial.suggest_categorical("a", [True, False])
    suggest = trial.suggest_int if a else trial.suggest_float
    return {"b": suggest("b", 1, 5)}


def moving_end(trial):
    a = trial.suggest_float("a", 0.1, 1.0)
    return {"a": a, "b": trial.suggest_float("b", 0.0, a)}


def twice_in_one_call(trial):
    return {
        "b": trial.suggest_float("b", 0, 1) + trial.suggest_float("b", 0, 1, log=False, step=0.5)
    }


def at_random(trial):
    return {"b": trial.suggest_int("b", 0, random.randrange(10**9))}


REFUSED = {
    "a tuple": (chosen((1, 2), (3, 4)), r"offers \(1, 2\) as a choice of 'k'"),
    "a list": (chosen([1], 2), r"offers \[1\]"),
    "a function": (chosen(len), "offers <built-in function len>"),
    "nan": (chosen(1.0, float("nan")), "offers nan"),
    "twice": (chosen("a", "b", "a"), "names 'a' twice"),
    "equal": (chosen(1, True), "names True twice"),
    "none and None": (chosen(None, "none"), "cannot tell apart"),
    "choices that change": (dependent, "suggests 'b' from categorical"),
    "kinds that change": (other_kind, "suggests 'b' from (int|float)"),
    "ranges that change": (moving_end, r"suggests 'b' from float \(high=0.55\) and"),
    "steps that change": (twice_in_one_call, "suggests 'b' from"),
    "ends at random": (at_random, "suggests 'b' from"),
    "learning_rate": (fixed("learning_rate"), "training.learning_rate is searched"),
    "name": (fixed("name"), "rename it"),
    "label": (fixed("label"), "rename it"),
    "settings": (fixed("settings"), "rename it"),
    "a dot": (fixed("net.width"), "'net.width' cannot be the name"),
    "returned": (lambda trial: {"label": 1}, "'label' cannot be the name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_impossible_spaces_are_refused_in_one_line(case):
    space, message = REFUSED[case]
    with pytest.raises(UsageError, match=message) as caught:
        survey(space)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("space", [fixed(low=2.0, high=1.0), fixed(low=0.0, log=True), chosen()])
def test_impossible_ranges_are_errors(space):
    with pytest.raises(ValueError, match=r"."):
        survey(space)


def test_branches_with_names_of_their_own_are_fine():
    def space(trial):
        kind = trial.suggest_categorical("kind", ["flat", "steep", None])
        options = {"kind": kind}
        if kind == "steep":
            options["slope"] = trial.suggest_float("slope", 0.0, 2.0, step=0.3)
        return options

    survey(space)
    assert [trial.values.get("slope") for trial in branches(space)] == [None, None, 0.0]
