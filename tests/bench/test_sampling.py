"""Chains, grids and default boxes lie around the data, wherever these are."""

import pytest
import torch
from scorebench.bench.run import _grid
from scorebench.bench.sampling import Sampling, rounded
from scorebench.bench.spec import Plugin
from scorebench.datasets import get_dataset
from scorebench.datasets.mixture import GaussianMixture
from scorebench.methods import methods
from scorebench.methods.model import Moved
from scorebench.methods.random import MemberRandom
from scorebench.methods.reference.exact import ExactScore
from scorebench.methods.reference.gaussian_fit import Gaussian
from scorebench.studies.engine import Engine

CHAINS = {
    "langevin": {"step_size": 0.01, "steps": 3},
    "mala": {"step_size": 0.01, "steps": 3},
    "annealed_langevin": {"steps": 1, "levels": 2},
    "smc_langevin": {"steps": 4},
    "pf_ode": {"steps": 3},
    "pc": {"steps": 3},
    "baoab": {"steps": 3},
    "hmc": {"steps": 1, "leapfrogs": 2},
    "parallel_tempering": {"steps": 2, "temperatures": 2},
    "grid": {"cells": 50},
}


def stream():
    return MemberRandom([torch.Generator().manual_seed(3)])


def one(at):
    return GaussianMixture(torch.tensor([[at, at / 2]], dtype=torch.float64), 1.0)


@pytest.mark.parametrize("name", CHAINS)
def test_samples_move_with_the_data(name):
    # Multiples of 64 are exact in single precision, but for the last digits of the coordinates.
    home, away = one(0.0), one(1024.0)
    there = torch.tensor([1024.0, 512.0])
    sampling = [
        Sampling(dataset, Plugin(name=name, options=CHAINS[name])) for dataset in (home, away)
    ]
    near, far = (
        s.sample(ExactScore(d), 40, stream()) for s, d in zip(sampling, (home, away), strict=True)
    )
    assert (far.points - there - near.points).abs().max() < 1e-2
    assert not far.lost.any()
    paths = [
        s.paths(ExactScore(d), 4, stream()) for s, d in zip(sampling, (home, away), strict=True)
    ]
    if paths[0] is not None:
        assert (paths[1] - there - paths[0]).abs().max() < 1e-2


def test_chains_from_the_data_stay_there():
    away = one(1024.0)
    sampling = Sampling(away, Plugin(name="langevin", options={"start": "data", "steps": 2}))
    assert sampling.starts_at_data
    start = away.sample(50, torch.Generator().manual_seed(0))
    points = sampling.sample_from(ExactScore(away), start, stream()).points[0]
    assert (points - start).abs().max() < 1


def test_data_around_the_origin_are_sampled_as_before():
    ring = get_dataset("rings")
    sampling = Sampling(ring, Plugin(name="langevin", options={"steps": 3}))
    model = ExactScore(ring)
    plain = sampling.sampler.sample(model, 30, stream()).points
    assert torch.equal(sampling.sample(model, 30, stream()).points, plain)
    assert plain.dtype == torch.float32


def test_points_keep_their_digits_far_away():
    away = one(1e8)
    x = away.sample(100, torch.Generator().manual_seed(0))
    assert (rounded(away, x) - x).abs().max() < 1e-6
    ring = get_dataset("rings")
    y = ring.sample(10, torch.Generator().manual_seed(0))
    assert torch.equal(rounded(ring, y), y.float())


@pytest.mark.parametrize(("scale", "lost"), [(1e8, False), (1.0, True)])
def test_huge_data_do_not_count_as_divergence(scale, lost):
    wide = GaussianMixture(torch.zeros(1, 2), scale)
    if lost:
        wide.extent = 4.0
    law = Gaussian(torch.zeros(2).double(), 1e16 * torch.eye(2).double())
    options = {"steps": 60, "box": 1e7}
    samples = Sampling(wide, Plugin(name="langevin", options=options)).sample(law, 20, stream())
    assert bool(samples.lost.any()) == lost


def test_fields_cover_the_box():
    points = _grid(one(1024.0), 10)[0]
    assert torch.allclose(points.mean(0), torch.tensor([1024.0, 512.0]))


def test_the_grid_of_maximum_likelihood_moves_with_the_data():
    mean = torch.tensor([1.0, -2.0]).double()
    law = Gaussian(mean, torch.eye(2).double())
    law.energies = law.energy
    x = torch.randn(1, 30, 2, generator=torch.Generator().manual_seed(0)) + mean.float()
    loss, centre = methods.get("mle_grid")().loss, torch.tensor([[[1024.0, 512.0]]])
    home = loss(law, x, stream(), box=6.0, cells=24)
    away = Gaussian(mean + centre[0, 0], torch.eye(2).double())
    away.energies = away.energy
    assert torch.allclose(loss(away, x + centre, stream(), box=6.0, cells=24, centre=centre), home,
                          atol=1e-3)  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "at", "wanted"),
    [(1.0, 0.0, 4.0), (1.0, 11.0, 4.1), (10.0, 0.0, 41.0), (1e-3, 0.0, 0.0041)],
)
def test_default_boxes_grow_and_shrink_with_the_data(monkeypatch, scale, at, wanted):
    known = get_dataset("8gaussians")
    moved = (
        GaussianMixture(scale * known.centres + at, scale * known.noise)
        if at or scale != 1
        else known
    )
    monkeypatch.setattr(Engine, "make", lambda *_: moved)
    assert Engine().scaled(4.0, Plugin(name="any")) == pytest.approx(wanted)
    view = Engine().view(Plugin(name="any"))
    assert view == {"extent": pytest.approx(wanted)} | ({"centre": [at, at]} if at else {})


def test_moved_models_are_the_model_elsewhere():
    law = Gaussian(torch.tensor([5.0, 1.0]).double(), torch.eye(2).double())
    moved = Moved(law, torch.tensor([5.0, 1.0]).double(), 1.0)
    y = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(moved.score(y), -y, atol=1e-6)
    assert torch.allclose(moved.energy(y), y.square().sum(-1) / 2, atol=1e-6)
    assert moved.noise(0.3) == law.noise(0.3)
