"""The integrated Fisher divergence against Kullback-Leibler divergences in closed form."""

import math

import pytest
import torch
from scorebench.bench.metrics.fisher import PathFisher
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.mixture import GaussianMixture
from scorebench.methods.reference.exact import ExactScore
from scorebench.methods.reference.gaussian_fit import Gaussian
from scorebench.methods.setting import Setting


def path_fisher(dataset, model, **options):
    truth = dataset.sample(2, torch.Generator().manual_seed(0))
    return PathFisher(dataset, truth, **options)


def measured(dataset, model, **options):
    metric = path_fisher(dataset, model, **options)
    return metric.of_model(model, 0.0)


@pytest.mark.parametrize("dim", [2, 5])
def test_divergence_of_gaussians(dim):
    dataset = get_dataset("gaussian_ring", dim=dim, modes=1, noise=0.5)
    v, w, shift = 0.25, 0.4, 0.3
    model = Gaussian(dataset.centres[0] + shift, w * torch.eye(dim, dtype=torch.float64))
    wanted = 0.5 * dim * (v / w + shift**2 / w - 1 + math.log(w / v))
    # Outside of the plane by random points.
    error = 5e-3 if dim == 2 else 2e-2
    assert measured(dataset, model, low=1e-3, high=100.0, levels=24) == pytest.approx(
        wanted, rel=error
    )


def two_modes_of_equal_weight():
    twin = GaussianMixture(torch.tensor([[5.0, 5.0], [-5.0, -5.0]]), 1.0)
    twin.extent = 8.0
    return ExactScore(twin)


def test_weights_of_far_modes_are_seen():
    dataset, model = get_dataset("two_modes"), two_modes_of_equal_weight()
    wanted = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    model.is_truth = False
    value = measured(dataset, model, low=0.1, high=100.0, levels=24)
    assert value == pytest.approx(wanted, rel=1e-3)
    # What is left out beyond high = 10 has the form of two Gaussians only roughly.
    assert measured(dataset, model) == pytest.approx(0.1755, abs=5e-4)


def test_the_spectrum_says_which_level_costs_what():
    dataset, model = get_dataset("two_modes"), two_modes_of_equal_weight()
    spectrum = path_fisher(dataset, model, low=0.1, high=100.0, levels=24).spectrum(model)
    weights = path_fisher(dataset, model, low=0.1, high=100.0, levels=24).weights
    shares = weights * spectrum[:, 1] / (weights @ spectrum[:, 1])
    between = (spectrum[:, 0] > 3) & (spectrum[:, 0] < 30)
    assert spectrum[-1, 0] == 100
    assert shares[between].sum() > 0.85
    assert spectrum[0, 1] < 1e-9


def test_the_truth_and_its_score_have_none():
    dataset = get_dataset("8gaussians")
    assert measured(dataset, ExactScore(dataset)) == pytest.approx(0, abs=1e-9)
    assert path_fisher(dataset, None).of_truth() == 0


def test_data_with_edges_begin_where_their_score_does():
    dataset = get_dataset("checkerboard")
    assert path_fisher(dataset, None, low=1e-5).levels[0] > dataset.score_from
    # Below sigma = 0.1 the model has the score of that level.
    value = measured(dataset, ExactScore(dataset, 0.1), low=0.05, levels=8)
    assert 0.01 < value < 1


def test_models_of_one_level_are_refused():
    dataset = get_dataset("8gaussians")
    assert "every noise level" in str(PathFisher.unfit(Setting(dataset)))
    assert PathFisher.unfit(Setting(dataset, levels=True)) is None


@pytest.mark.parametrize("options", [{"low": 0.0}, {"low": 2.0, "high": 1.0}, {"levels": 1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(UsageError, match="must be"):
        path_fisher(get_dataset("8gaussians"), None, **options)
