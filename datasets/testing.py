# ruff: noqa: D102, S101 - the names of tests say what they do, and tests assert
"""Tests that every dataset has to pass; the author of one subclasses ``DatasetConformance``.

    class TestMoons(DatasetConformance):
        @pytest.fixture
        def dataset(self):
            return get_dataset("moons")

Seeds are fixed, so a test that passes always passes; the thresholds of the statistical ones would
let a right dataset fail once in about a hundred thousand seeds. Quadrature needs d = 2; in other
dimensions those tests are skipped, so check the density against a formula of your own.
"""

import math
from typing import ClassVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from .base import Dataset
from .errors import UsageError
from .quadrature import Grid, cell_masses, grid

_UNLIKELY = 1e-5


class DatasetConformance:
    """What is promised by ``Dataset``, as tests.

    Attributes:
        levels: Noise levels at which densities are integrated.
        fisher: E|score|² by sigma, where it is known from elsewhere.
        entropy: Entropy in nats by sigma, where it is known from elsewhere.
        kl: KL(p, p_sigma) in nats by sigma, where it is known from elsewhere.
        digits: Relative and absolute error allowed against these three.
        straying: Share of the points that may lie nearer to another mode than to their own.
        within: Share of the points that the box holds at least.
        looks_like_a_point_from_afar: Whether far-out scores lead to the origin; false for tails
            that are no Gaussian's of one width.
    """

    levels: ClassVar[tuple[float, ...]] = (0.0, 0.1, 0.3)
    fisher: ClassVar[dict[float, float]] = {}
    entropy: ClassVar[dict[float, float]] = {}
    kl: ClassVar[dict[float, float]] = {}
    digits: ClassVar[float] = 1e-5
    straying: ClassVar[float] = 1e-3
    within: ClassVar[float] = 0.99
    looks_like_a_point_from_afar: ClassVar[bool] = True

    @pytest.fixture
    def dataset(self) -> Dataset:
        """The dataset under test."""
        raise NotImplementedError

    @pytest.fixture
    def generator(self) -> torch.Generator:
        """A generator in the same state for every test."""
        return torch.Generator().manual_seed(20_240_101)

    @pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
    def test_samples_any_number(self, dataset: Dataset, generator: torch.Generator, n: int) -> None:
        x = dataset.sample(n, generator)
        assert x.shape == (n, dataset.dim)
        assert x.dtype == torch.float64
        assert bool(x.isfinite().all())
        assert dataset.log_prob(x).shape == (n,)
        assert dataset.score(x, 1.0).shape == (n, dataset.dim)
        assert dataset.assign(x).shape == (n,)
        assert not dataset.assign(x).is_floating_point()

    def test_sampling_uses_its_generator_alone(self, dataset: Dataset) -> None:
        before = torch.get_rng_state()
        one = torch.Generator().manual_seed(3)
        first, second = dataset.sample(9, one), dataset.sample(9, one)
        again = dataset.sample(9, torch.Generator().manual_seed(3))
        assert torch.equal(first, again)
        assert not torch.equal(first, second)
        assert torch.equal(before, torch.get_rng_state())

    def test_rows_are_independent(self, dataset: Dataset, generator: torch.Generator) -> None:
        x = dataset.sample(20_000, generator)
        for lag in (1, 2, len(x) // 4, len(x) // 2):
            a, b = x[:-lag], x[lag:]
            for f in (lambda v: v, torch.abs, torch.square):
                pairs = torch.cat((f(a), f(b)), 1).T
                across = torch.corrcoef(pairs)[: dataset.dim, dataset.dim :]
                assert across.abs().max() * math.sqrt(len(a)) < 5
        for left, right in ((x[:10_000], x[10_000:]), (x[::2], x[1::2])):
            for j in range(dataset.dim):
                assert stats.ks_2samp(left[:, j], right[:, j]).pvalue > _UNLIKELY

    def test_means_of_small_samples_vary_as_they_should(
        self, dataset: Dataset, generator: torch.Generator
    ) -> None:
        truth = dataset.sample(20_000, generator)
        calls = 600
        for n in (2, 7, 40):
            means = torch.stack([dataset.sample(n, generator).mean(0) for _ in range(calls)])
            ratio = n * means.var(0) / truth.var(0)
            assert (ratio - 1).abs().max() < 6 * math.sqrt(2 / calls)

    @pytest.mark.parametrize("n", [5, 40])
    def test_distribution_does_not_depend_on_the_number(
        self, dataset: Dataset, generator: torch.Generator, n: int
    ) -> None:
        many = torch.cat([dataset.sample(n, generator) for _ in range(20_000 // n)])
        assert fits(dataset, many, 0.0) > _UNLIKELY

    @pytest.mark.parametrize("sigma", [0.0, 0.2])
    def test_histogram_of_noisy_samples_is_the_density(
        self, dataset: Dataset, generator: torch.Generator, sigma: float
    ) -> None:
        x = dataset.sample(200_000, generator)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=generator)
        assert fits(dataset, x + sigma * noise, sigma) > _UNLIKELY

    def test_density_integrates_to_one(self, dataset: Dataset) -> None:
        for sigma in self.levels:
            assert abs(_grid(dataset, sigma).mass - 1) < 1e-9, sigma

    def test_smoothing_composes(self, dataset: Dataset) -> None:
        """p_0.5, at a few points, is p_0.3 convolved with N(0, 0.4²) by quadrature."""
        box = _grid(dataset, 0.3, min(0.4, 0.3 / math.hypot(dataset.noise, 0.3)))
        x = 0.5 * dataset.sample(20, torch.Generator().manual_seed(5))
        gauss = -torch.cdist(x, box.x).square() / (2 * 0.4**2) - math.log(2 * math.pi * 0.4**2)
        convolved = torch.logsumexp(gauss + box.log_prob + box.area.log(), 1)
        torch.testing.assert_close(dataset.log_prob(x, 0.5), convolved, rtol=1e-8, atol=1e-8)

    def test_known_constants(self, dataset: Dataset) -> None:
        for sigma in {*self.entropy, *self.fisher, *self.kl}:
            self.check_constants(dataset, sigma)

    def check_constants(self, dataset: Dataset, sigma: float) -> None:
        """Compare with what is known of p_sigma."""
        if sigma in self.entropy:
            self._close(dataset.entropy(sigma), self.entropy[sigma])
        if sigma in self.fisher:
            self._close(dataset.fisher_information(sigma), self.fisher[sigma])
        if sigma in self.kl:
            self._close(_grid(dataset, 0.0, 0.4).kl_to(sigma), self.kl[sigma])

    def _close(self, measured: float, known: float) -> None:
        assert measured == pytest.approx(known, rel=self.digits, abs=self.digits)

    def test_entropy_and_fisher_information_are_means(
        self, dataset: Dataset, generator: torch.Generator
    ) -> None:
        n, sigma = 4000, 0.3
        x = dataset.sample(n, generator)
        x = x + sigma * torch.randn(x.shape, dtype=x.dtype, generator=generator)
        log_prob, square = dataset.log_prob(x, sigma), dataset.score(x, sigma).square().sum(1)
        for known, values in (
            (dataset.entropy(sigma), -log_prob),
            (dataset.fisher_information(sigma), square),
        ):
            slack = 5 * float(values.std()) / math.sqrt(n) + 2e-3 * (1 + abs(known))
            assert float(values.mean()) == pytest.approx(known, abs=slack)

    def test_noise_raises_the_entropy_by_half_the_fisher_information(
        self, dataset: Dataset
    ) -> None:
        """De Bruijn's identity dH/dsigma² = I/2, from sigma² = 0.08 to 0.1 by Simpson's rule."""
        if dataset.dim != 2 and type(dataset).information is Dataset.information:
            pytest.skip("random means are not that precise")
        low, middle, high = (math.sqrt(v) for v in (0.08, 0.09, 0.1))
        rise = dataset.entropy(high) - dataset.entropy(low)
        information = [dataset.fisher_information(sigma) for sigma in (low, middle, high)]
        simpson = (information[0] + 4 * information[1] + information[2]) / 6
        assert rise == pytest.approx(0.02 * simpson / 2, rel=1e-4)

    @given(data=st.data())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    def test_score_is_the_gradient_of_the_log_density(
        self, dataset: Dataset, data: st.DataObject
    ) -> None:
        sigma = data.draw(st.floats(dataset.score_from, 5.0), label="sigma")
        size = data.draw(st.sampled_from((1.0, 5.0, 30.0)), label="size")
        coordinate = st.floats(-size, size, allow_subnormal=False)
        points = st.lists(coordinate, min_size=dataset.dim, max_size=dataset.dim)
        drawn = data.draw(st.lists(points, min_size=1, max_size=4), label="x")
        check_score(dataset, torch.tensor(drawn, dtype=torch.float64), sigma)

    def test_score_is_the_gradient_on_the_data(
        self, dataset: Dataset, generator: torch.Generator
    ) -> None:
        x = dataset.sample(200, generator)
        for sigma in {dataset.score_from, 0.1, 1.0}:
            check_score(dataset, x, sigma)

    def test_no_score_below_where_it_begins(self, dataset: Dataset) -> None:
        if dataset.score_from == 0:
            pytest.skip("has a score at every sigma")
        with pytest.raises(UsageError, match=f"no score.*{dataset.score_from:g}"):
            dataset.score(torch.zeros(1, dataset.dim), dataset.score_from / 2)
        with pytest.raises(UsageError, match=f"no score.*{dataset.score_from:g}"):
            dataset.fisher_information(dataset.score_from / 2)

    def test_far_away_all_is_finite(self, dataset: Dataset, generator: torch.Generator) -> None:
        direction = torch.randn(20, dataset.dim, dtype=torch.float64, generator=generator)
        x = 1e3 * direction / direction.norm(dim=1, keepdim=True)
        for sigma in (max(dataset.score_from, 0.01), 1.0):
            assert bool(dataset.log_prob(x, sigma).isfinite().all())
            score = dataset.score(x, sigma)
            assert bool(score.isfinite().all())
            if self.looks_like_a_point_from_afar:
                assert bool((torch.cosine_similarity(score, -x, dim=1) > 0.99).all())

    def test_points_do_not_see_each_other(
        self, dataset: Dataset, generator: torch.Generator
    ) -> None:
        x = dataset.sample(60, generator) + 0.3
        bad = x.clone()
        bad[17] = math.nan
        others = torch.arange(60) != 17
        for f in (dataset.log_prob, dataset.score):
            whole = f(x, 0.3)
            for part in (slice(0, 1), slice(3, 10), slice(1, 60, 2)):
                assert torch.equal(f(x[part], 0.3), whole[part])
            assert torch.equal(f(x.T.contiguous().T, 0.3), whole)
            assert torch.equal(f(bad, 0.3)[others], whole[others])
            assert bool(f(bad, 0.3)[17].isnan().all())

    def test_points_are_left_alone_and_converted(
        self, dataset: Dataset, generator: torch.Generator
    ) -> None:
        x = dataset.sample(5, generator).float()
        kept = x.clone()
        score = dataset.score(x, 0.5)
        assert torch.equal(score, dataset.score(x.double(), 0.5))
        assert score.dtype == torch.float64
        assert not score.requires_grad
        assert torch.equal(x, kept)
        assert not x.requires_grad

    def test_modes_have_their_weights(self, dataset: Dataset, generator: torch.Generator) -> None:
        weights = dataset.weights
        assert weights.sum().item() == pytest.approx(1, abs=1e-12)
        assert bool((weights > 0).all())
        n = 50_000
        count = torch.bincount(dataset.assign(dataset.sample(n, generator)), minlength=len(weights))
        slack = 5 * (weights * (1 - weights) / n).sqrt() + self.straying
        assert bool(((count / n - weights).abs() < slack).all())

    def test_extent_holds_nearly_all(self, dataset: Dataset, generator: torch.Generator) -> None:
        x = dataset.sample(10_000, generator)
        assert (x.abs() <= dataset.extent).all(1).double().mean() > self.within

    def test_bad_input_is_refused(self, dataset: Dataset, generator: torch.Generator) -> None:
        good = torch.zeros(2, dataset.dim)
        with pytest.raises(UsageError, match="-1"):
            dataset.sample(-1, generator)
        with pytest.raises(UsageError, match="integer"):
            dataset.sample(2.5, generator)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="Generator"):
            dataset.sample(2, None)  # type: ignore[arg-type]
        for f in (dataset.log_prob, dataset.score):
            for x in (good[0], torch.zeros(2, dataset.dim + 1), good.int(), [[0.0]]):
                with pytest.raises(UsageError, match="points"):
                    f(x, 0.5)  # type: ignore[arg-type]
            for sigma in (-0.1, math.nan, math.inf, "much"):
                with pytest.raises(UsageError, match="sigma"):
                    dataset.entropy(sigma)  # type: ignore[arg-type]
                with pytest.raises(UsageError, match="sigma"):
                    f(good, sigma)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="points"):
            dataset.assign(good[0])


def fits(dataset: Dataset, x: Tensor, sigma: float) -> float:
    """p-value of Pearson's chi² test of points against p_sigma, on cells of side 1/4."""
    if dataset.dim != 2:
        pytest.skip("the histogram needs d = 2")
    edges, mass = _masses(dataset, sigma)
    place = torch.bucketize(x, edges, right=True) - 1
    cells = len(edges) - 1
    inside = ((place >= 0) & (place < cells)).all(1)
    flat = place[inside, 0] * cells + place[inside, 1]
    seen = torch.bincount(flat, minlength=cells**2).double()
    expected = mass.flatten() * len(x)
    full = expected >= 5
    rest_seen, rest = len(x) - seen[full].sum(), len(x) - expected[full].sum()
    chi2 = ((seen - expected).square() / expected)[full].sum()
    if rest > 5:
        chi2 += (rest_seen - rest).square() / rest
    return float(stats.chi2.sf(chi2.item(), int(full.sum())))


def check_score(dataset: Dataset, x: Tensor, sigma: float) -> None:
    """Assert that the score at ``x`` is autograd's gradient of the log density, to 1e-10."""
    x = x.clone().requires_grad_()
    value = dataset.log_prob(x, sigma)
    (expected,) = torch.autograd.grad(value.sum(), x)
    score = dataset.score(x.detach(), sigma)
    size = expected.norm(dim=1) + 1
    assert bool(value.isfinite().all())
    assert bool(((score - expected).norm(dim=1) <= 1e-10 * size).all()), (score, expected)


_grids: dict[tuple[Dataset, float, float], Grid] = {}
_cells: dict[tuple[Dataset, float], tuple[Tensor, Tensor]] = {}


def _grid(dataset: Dataset, sigma: float, step: float = 0.8) -> Grid:
    if dataset.dim != 2:
        pytest.skip("quadrature needs d = 2")
    key = (dataset, sigma, step)
    if key not in _grids:
        _grids[key] = grid(dataset, sigma, step)
    return _grids[key]


def _masses(dataset: Dataset, sigma: float) -> tuple[Tensor, Tensor]:
    key = (dataset, sigma)
    if key not in _cells:
        _cells[key] = cell_masses(dataset, sigma)
    return _cells[key]
