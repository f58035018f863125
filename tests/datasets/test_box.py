"""Boxes, quadrature and checks follow the data: far away, tiny, huge, with edges, of any kind."""

import math
from contextlib import suppress
from unittest import SkipTest

import pytest
import torch
from scorebench.datasets import UsageError, get_dataset
from scorebench.datasets.box import box_of
from scorebench.datasets.mixture import GaussianMixture, Mixture
from scorebench.datasets.moons import Moons
from scorebench.datasets.rings import Circles
from scorebench.datasets.testing import CHECKS, Expected

from ..metrics.normal import Normal

PLACES = [(11.0, 1.0), (5.0, 1.0), (-20.0, 1.0), (1e6, 1.0), (0.0, 10.0), (0.0, 1e-6), (3e3, 1e-3),
          (0.0, 1e6)]  # fmt: skip


def eight(at=0.0, scale=1.0):
    known = get_dataset("8gaussians")
    return GaussianMixture(scale * known.centres + at, scale * known.noise)


def squares(at, scale):
    known = get_dataset("checkerboard")
    return Mixture(scale * known.centres + at, width=2 * scale)


class FarMoons(Moons):
    """Moons of another size, elsewhere."""

    def __init__(self, at, scale):
        self.at, self.scale = at, scale
        super(Moons, self).__init__(noise=0.2 * scale)

    @property
    def length(self):
        return Moons.length * self.scale

    def curve(self, u):
        return self.scale * super().curve(u) + self.at


@pytest.mark.parametrize(("at", "scale"), PLACES)
def test_constants_move_and_scale_with_the_data(at, scale):
    known, moved = get_dataset("8gaussians"), eight(at, scale)
    wanted = known.entropy() + 2 * math.log(scale)
    assert moved.entropy() == pytest.approx(wanted, abs=1e-8)
    fisher = known.fisher_information() / scale**2
    assert moved.fisher_information() == pytest.approx(fisher, rel=1e-8)
    # Smoothed far beyond its size a tiny distribution is one Gaussian.
    if scale < 1e-2:
        assert moved.entropy(0.5) == pytest.approx(math.log(2 * math.pi * math.e / 4), abs=1e-3)


@pytest.mark.parametrize(("at", "scale"), [(11.0, 1.0), (10.25, 1.0), (0.0, 10.0), (3.0, 7.0)])
def test_edges_meet_the_cells_wherever_they_are(at, scale):
    wanted = math.log(32 * scale**2)
    assert squares(at, scale).entropy() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("at", "scale"), [(15.0, 1.0), (0.0, 20.0), (-3.0, 1e-3)])
def test_curves_move_and_scale(at, scale):
    wanted = get_dataset("moons").entropy() + 2 * math.log(scale)
    assert FarMoons(at, scale).entropy() == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("at", "scale"), [(40.0, 1.5), (0.0, 1e-3), (-7.0, 1e5)])
def test_smooth_densities_that_do_not_state_their_noise(at, scale):
    entropy = Normal(2, scale, at).entropy()
    assert entropy == pytest.approx(math.log(2 * math.pi * math.e * scale**2), abs=1e-6)


@pytest.mark.parametrize("name", ["8gaussians", "rings", "checkerboard", "2spirals", "moons"])
def test_the_default_box_stays_where_it_is(name):
    box = box_of(get_dataset(name))
    assert (box.centre.tolist(), box.extent, box.follows) == ([0.0, 0.0], 4.0, False)
    assert (box.reach, box.unit, box.size) == (4.0, 1.0, 1.0)


def test_a_stated_box_is_kept():
    class Stated(Normal):
        extent = 5.0
        centre = (11.0, 12.0)

    class Around(Normal):
        centre = 11.0

    one = Stated(mean=11.0)
    assert (box_of(one).centre.tolist(), one.extent) == ([11.0, 12.0], 5.0)
    assert 3 < Around(mean=11.0).extent < 4.5
    one.extent = 7.0
    assert box_of(one).extent == 7.0
    assert box_of(get_dataset("funnel")).extent == 10.0


@pytest.mark.parametrize("share", [0.01, 1e-4])
def test_rare_modes_are_not_missed(share):
    p = torch.tensor([1 - share, share], dtype=torch.float64)
    rare = GaussianMixture(torch.tensor([[0.0, 0.0], [60.0, 0.0]]), 1.0, p)
    wanted = -float((p * p.log()).sum()) + math.log(2 * math.pi * math.e)
    assert rare.entropy() == pytest.approx(wanted, abs=1e-9)
    rare.extent = 4.0
    if share > 1e-3:
        with pytest.raises(UsageError, match=r"has the mass 0\.99 instead of 1"):
            rare.information(0.0)


def test_wide_tails_of_a_density_without_noise_are_not_cut_off():
    for scale in (1.2, 1.5):
        wanted = math.log(2 * math.pi * math.e * scale**2)
        assert Normal(scale=scale).entropy() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("dataset", "sentence"),
    [
        (type("Wrong", (Normal,), {"extent": 4.0})(mean=11.0), "mass .* instead of 1 .* of half"),
        (type("Half", (Normal,), {"log_density": lambda _, x, s: Normal().log_density(x, s) - 1})(),
         "has the mass 0.3678"),
        (squares(0.1, math.pi), "mass .* instead of 1"),
        (GaussianMixture(torch.tensor([[0.0, 0.0], [1e6, 0.0]]), 1.0), "at most 6000"),
        (type("Wide", (Normal,), {"extent": "wide"})(), "extent = 'wide' of Wide: it must be"),
        (type("Flat", (Normal,), {"extent": 0})(), "extent = 0 of Flat"),
        (type("Odd", (Normal,), {"centre": (1, 2, 3)})(), "of Odd: it must be 2 finite numbers"),
        (Normal(scale=math.nan), "draws no finite points"),
    ],
)  # fmt: skip
def test_numbers_that_would_be_wrong_are_refused_in_one_sentence(dataset, sentence):
    with pytest.raises(UsageError, match=sentence) as refused:
        dataset.entropy()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("dim", [1, 3, 784])
def test_boxes_in_any_dimension(dim):
    box = box_of(Normal(dim, 2.0, 7.0))
    assert (box.centre - 7).abs().max() < 1.5
    assert 6 < box.extent < 9


def test_circles_follow_their_radii():
    assert box_of(Circles((30.0,), 0.5)).extent == pytest.approx(31.5, abs=0.6)
    # A thin ring is a line of length 2πR, with a normal across.
    across = 0.5 * math.log(2 * math.pi * math.e * 0.25)
    wanted = math.log(2 * math.pi * 30) + across
    assert Circles((30.0,), 0.5).entropy() == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize(("at", "scale"), [(1e6, 1.0), (3.0, 1e-6), (0.0, 10.0)])
def test_the_checks_of_datasets_pass_wherever_the_data_are(at, scale):
    dataset = eight(at, scale)
    for check in CHECKS:
        with suppress(SkipTest):
            check(dataset, Expected())
