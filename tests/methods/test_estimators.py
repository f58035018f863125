"""Models of any framework: three doors, what goes through them, and what is turned away."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scorebench as sb
import torch
from scorebench.datasets import UsageError
from scorebench.datasets.testing.conformance import CheckFailedError
from scorebench.methods.estimators.base import Estimator, OwnPoints, difference
from scorebench.methods.testing.estimators import CHECKS
from sklearn.neighbors import KernelDensity

DATA = sb.get_dataset("moons").sample(200, torch.Generator().manual_seed(0)).float()


def made(estimator, **options):
    return estimator.model(DATA, np.random.default_rng(0), options)


def log_density(x, sigma):
    return -0.5 * (x**2).sum() / (1.0 + sigma**2)


class InJax(Estimator):
    """A normal distribution in JAX."""

    conditional = True

    def score(self, x, sigma):
        return jax.vmap(jax.grad(log_density), (0, None))(x, sigma)

    def energy(self, x, sigma):
        return -jax.vmap(log_density, (0, None))(jnp.asarray(x), sigma)


class SklearnKDE(Estimator):
    """Kernel density of scikit-learn."""

    gives = "points"

    def space(self, trial):
        return {"bandwidth": trial.suggest_float("bandwidth", 0.02, 0.5, log=True)}

    def fit(self, points, rng, *, bandwidth):
        tree = KernelDensity(bandwidth=bandwidth).fit(points)
        return lambda n, seed: tree.sample(n, random_state=seed)


PROGRAM = """
import json, random, sys
asked = json.loads(sys.stdin.readline())
rng = random.Random(asked["seed"])
for _ in range(asked["n"]):
    print(json.dumps([rng.gauss(0, 1), rng.gauss(0, 1)]))
"""


class Program(Estimator):
    """Points of another program, which speaks JSON lines."""

    def points(self, n, seed):
        asked = json.dumps({"n": n, "seed": seed})
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=asked, capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("method", [InJax, SklearnKDE, Program])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_doors_pass_their_checks(method, check):
    check(method, {})


def test_what_a_door_gives_follows_from_its_methods():
    class Scored(Estimator):
        def score(self, x, sigma):
            return -x

    assert [m.gives for m in (Program, Scored, InJax, SklearnKDE)] == [
        "points", "score", "energy", "points",
    ]  # fmt: skip


def test_a_score_of_jax_is_that_of_its_density():
    model, x = made(InJax()), torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model.score(x, 0.5), -x / 1.25)
    torch.testing.assert_close(model.energy(x, 0.5), 0.5 * x.square().sum(-1) / 1.25)
    assert model.noise(0.5) == 0.5
    assert model.evaluations == 18
    assert model.score(x).dtype == x.dtype


def test_points_of_scikit_learn():
    model = made(SklearnKDE(), bandwidth=0.1)
    assert isinstance(model, OwnPoints)
    expected = KernelDensity(bandwidth=0.1).fit(DATA.double().numpy()).sample(50, random_state=3)
    np.testing.assert_array_equal(model.draw(50, 3).numpy(), expected)


def test_a_model_of_points_has_no_score():
    with pytest.raises(UsageError, match="points alone"):
        made(Program()).score(torch.zeros(1, 3, 2))


class Returned(Estimator):
    """Returns what it is made with."""

    def __init__(self, value):
        self.value = value

    def points(self, n, seed):
        return self.value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((4, 2)), "are 4 in number, where n = 5"),
        (np.zeros((5, 3)), r"shape \(5, 3\), where \(n, 2\)"),
        (np.zeros((2, 5)), "its transpose has it|where"),
        (np.zeros((5, 2)) + 1j, "complex"),
        (None, "None"),
        ("points", "type str"),
        ([["a", "b"]] * 5, "text"),
    ],
)
def test_points_of_the_wrong_kind_are_one_line(value, message):
    with pytest.raises(UsageError, match=message) as caught:
        made(Returned(value)).draw(5, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [lambda x: x[0], lambda x: x[:, :1], lambda x: x.T])
def test_scores_of_the_wrong_shape_are_one_line(value):
    class Wrong(Estimator):
        def score(self, x, sigma):
            return value(x)

    with pytest.raises(UsageError, match="what `score` returned"):
        made(Wrong()).score(torch.zeros(1, 5, 2))


def test_a_fit_that_returns_no_model():
    class Wrong(Estimator):
        def fit(self, points, rng):
            return 3

    with pytest.raises(UsageError, match="`fit` of Wrong returned int"):
        made(Wrong())


class Unseeded(Estimator):
    """Draws from the global generator."""

    def points(self, n, seed):
        return np.random.normal(size=(n, 2))  # noqa: NPY002


class Changing(Estimator):
    """Writes into the training set."""

    def fit(self, points, rng):
        points *= 0
        return lambda x, sigma: -x


class WrongEnergy(Estimator):
    """Its energy is not that of its score."""

    def score(self, x, sigma):
        return -x

    def energy(self, x, sigma):
        return (x**2).sum(1)


class Fixed(Estimator):
    """Gives the same points for every seed."""

    def points(self, n, seed):
        return np.ones((n, 2))


class Unnamed(SklearnKDE):
    """Suggests what it does not take."""

    def fit(self, points, rng):
        return super().fit(points, rng, bandwidth=0.1)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Unseeded, "equal_seeds_give_equal_numbers"),
        (Unseeded, "global_generators_are_left_alone"),
        (Fixed, "seeds_matter"),
        (WrongEnergy, "energy_belongs_to_the_score"),
        (Unnamed, "space_and_fit_agree"),
    ],
)
def test_checks_fail(method, name):
    (check,) = (check for check in CHECKS if check.__name__ == name)
    with pytest.raises(CheckFailedError):
        check(method, {})


def test_a_fit_cannot_change_the_training_set():
    before = DATA.clone()
    made(Changing())
    assert torch.equal(DATA, before)


def test_differences_are_relative():
    x = torch.tensor([[1e6, -1e6]])
    assert difference(x, x.clone()) == 0
    assert difference(x, x + 1.0) == pytest.approx(1e-6, rel=0.1)
    assert difference(x, torch.tensor([[torch.nan, 0.0]])) > 1
    nan = torch.full((1, 2), torch.nan)
    assert difference(nan, nan) == 0
