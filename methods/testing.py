# ruff: noqa: D102, S101 - the names of tests say what they do, and tests assert
"""Tests that objectives, samplers and networks have to pass; the author of one subclasses them.

    class TestDSM(MethodConformance):
        name = "dsm"

    class TestLangevin(SamplerConformance):
        name = "langevin"

    class TestMyNet(NetworkConformance):
        make = MyNet

Whether a loss or a sampler is right needs tests of its own: a closed form, a derivation.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import optuna
import pytest
import torch
from torch import Tensor

from ..datasets import get_dataset
from . import methods, network_promises, samplers
from .model import Model
from .module_network import ModuleNetwork
from .network_model import NetworkModel
from .networks import MLP
from .objectives.base import ScoreMatching
from .promises import PROMISES, draw_options
from .random import MemberRandom
from .sampling.base import PLACES, Sampler
from .setting import Setting


def streams(members: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> MemberRandom:
    """Streams of members with the seeds from ``seed`` on."""
    return MemberRandom([torch.Generator().manual_seed(seed + k) for k in range(members)], "cpu",
                        dtype)  # fmt: skip


class MethodConformance:
    """What is promised by ``ScoreMatching``, as tests.

    Attributes:
        name: Name in the registry.
        options: Hyperparameters for three members: numbers with a fraction may differ. Drawn from
            the method's own search space unless given.
        sizes: Points per batch; odd ones find arithmetic that depends on neighbours.
    """

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    sizes: ClassVar[tuple[int, ...]] = (32, 50, 7)

    @pytest.fixture
    def method(self) -> ScoreMatching:
        return methods.get(self.name)()

    @pytest.fixture(params=["energy", "score"])
    def mlp(self, request: pytest.FixtureRequest, method: ScoreMatching) -> MLP:
        energy = request.param == "energy"
        setting = Setting(get_dataset("8gaussians"), energy, method.conditional)
        if method.unfit(setting) is not None:
            pytest.skip(f"not for networks of kind {request.param}")
        return MLP(2, request.param, 16, 2, "swish", method.conditional)

    def losses(
        self, method: ScoreMatching, mlp: MLP, size: int, chosen: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Losses and parameter gradients of some of three members, (k,) and (k, parameters)."""
        theta = torch.cat([mlp.init([torch.Generator().manual_seed(k)]) for k in chosen])
        theta.requires_grad_()
        rng = MemberRandom([torch.Generator().manual_seed(10 + k) for k in chosen])
        x = torch.stack(
            [torch.randn(size, 2, generator=torch.Generator().manual_seed(20 + k)) for k in chosen]
        )
        options = {
            name: torch.tensor([value * (1 + 0.3 * k) for k in chosen]).view(-1, 1, 1)
            if isinstance(value, float)
            else value
            for name, value in (self.options or draw_options(type(method), 0)).items()
        }
        before = x.clone()
        loss = method.loss(NetworkModel(mlp, theta), x, rng, **options)
        assert torch.equal(x, before)
        (gradient,) = torch.autograd.grad(loss.sum(), theta)
        return loss.detach(), gradient

    @pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
    def test_keeps_its_promises(
        self, method: ScoreMatching, promise: Callable[[type[ScoreMatching]], None]
    ) -> None:
        promise(type(method))

    def test_losses_are_finite_and_one_per_member(self, method: ScoreMatching, mlp: MLP) -> None:
        for size in self.sizes:
            loss, gradient = self.losses(method, mlp, size, [0, 1, 2])
            assert loss.shape == (3,)
            assert bool(loss.isfinite().all())
            assert bool(gradient.isfinite().all())
            assert bool((gradient != 0).any(1).all())

    def test_members_are_the_same_to_the_bit_alone(self, method: ScoreMatching, mlp: MLP) -> None:
        for size in self.sizes:
            together = self.losses(method, mlp, size, [0, 1, 2])
            for k in range(3):
                alone = self.losses(method, mlp, size, [k])
                assert torch.equal(together[0][k], alone[0][0])
                assert torch.equal(together[1][k], alone[1][0])

    def test_the_global_generator_is_left_alone(self, method: ScoreMatching, mlp: MLP) -> None:
        state = torch.get_rng_state()
        self.losses(method, mlp, 8, [0])
        assert torch.equal(state, torch.get_rng_state())

    def test_the_space_suggests_what_the_loss_takes(self, method: ScoreMatching, mlp: MLP) -> None:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        theta = mlp.init([torch.Generator().manual_seed(0)])
        x = torch.randn(1, 16, 2, generator=torch.Generator().manual_seed(1))
        for _ in range(4):
            trial = study.ask()
            options = method.space(trial)
            assert set(options) == set(trial.params)
            assert "learning_rate" not in options
            assert set(self.options) <= set(options)
            assert 0 <= method.target(options) < 10
            loss = method.loss(NetworkModel(mlp, theta), x, streams(1), **options)
            assert bool(loss.isfinite().all())


class NetworkConformance:
    """What is promised by a module of one's own, as tests.

    Attributes:
        make: Makes the module.
        kinds: What it can be.
        dims: Dimensions of data that it can be used for.
        smooth: Whether an energy has a second derivative, which implicit methods look at.
    """

    make: ClassVar[Callable[..., torch.nn.Module]]
    kinds: ClassVar[tuple[Literal["energy", "score"], ...]] = ("energy", "score")
    dims: ClassVar[tuple[int, ...]] = (2,)
    smooth: ClassVar[bool] = True

    @pytest.mark.parametrize(
        "promise",
        [*network_promises.PROMISES, network_promises.energies_are_smooth],
        ids=lambda promise: promise.__name__,
    )
    def test_keeps_its_promises(self, promise: Callable[[ModuleNetwork], None]) -> None:
        if promise is network_promises.energies_are_smooth and not self.smooth:
            return
        for network in self.networks():
            promise(network)

    def test_members_are_the_same_to_the_bit_alone(self) -> None:
        for network in self.networks():
            theta = network.init([torch.Generator().manual_seed(k) for k in range(3)])
            x = streams(3, 10).normal(7, network.dim)

            def found(chosen: list[int], network: ModuleNetwork = network) -> Tensor:
                rows = theta[chosen].clone().requires_grad_()  # noqa: B023
                score = NetworkModel(network, rows).score(x[chosen])  # noqa: B023
                (gradient,) = torch.autograd.grad(score.square().sum(), rows)
                return gradient

            together = found([0, 1, 2])
            for k in range(3):
                assert torch.equal(together[k], found([k])[0])

    def networks(self) -> list[ModuleNetwork]:
        """The module for every kind and dimension."""
        make = type(self).make
        return [ModuleNetwork(make, dim, kind) for kind in self.kinds for dim in self.dims]


class Normal(Model):
    """N(0, variance·I) smoothed to any level, one member: what samplers are tried on.

    Args:
        variance: Of each coordinate.
        level: See ``Model``.
    """

    dim, members = 2, 1

    def __init__(self, variance: float = 1.0, level: float = 0.0) -> None:
        self.variance, self.level = variance, level
        self.grad_seen = False

    def noise(self, sigma: float) -> float:
        return max(sigma, self.level)

    def score(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        self.grad_seen |= torch.is_grad_enabled() or x.requires_grad
        return -x / (self.variance + self.noise(sigma) ** 2)

    def energy(self, x: Tensor, sigma: float = 0.0) -> Tensor:
        return x.square().sum(-1) / (2 * (self.variance + self.noise(sigma) ** 2))


class SamplerConformance:
    """What is promised by ``Sampler``, as tests.

    Attributes:
        name: Name in the registry.
        options: Options other than the defaults.
        conditional: Whether models need to know all noise levels.
    """

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    conditional: ClassVar[bool] = False

    @pytest.fixture
    def sampler(self) -> Sampler:
        return samplers.get(self.name)(**self.options)

    @pytest.mark.parametrize("n", [0, 1, 1000, 1001])
    def test_every_size_without_graph_or_side_effects(self, sampler: Sampler, n: int) -> None:
        state, model = torch.get_rng_state(), Normal()
        samples = sampler.sample(model, n, streams(1))
        assert samples.points.shape == (1, n, 2)
        assert samples.points.dtype == torch.float32
        assert not samples.points.requires_grad
        assert samples.lost.tolist() == [0]
        assert samples.step.tolist() == [-1]
        assert not model.grad_seen
        assert torch.equal(state, torch.get_rng_state())

    def test_points_do_not_depend_on_how_many_follow(self, sampler: Sampler) -> None:
        few = sampler.sample(Normal(), 2500, streams(1)).points
        many = sampler.sample(Normal(), 3000, streams(1)).points
        assert torch.equal(few[:, :2000], many[:, :2000])
        assert len(many[0].unique(dim=0)) == 3000

    def test_paths_end_where_the_samples_are(self, sampler: Sampler) -> None:
        model = Normal()
        paths = sampler.paths(model, 5, streams(1))
        if paths is None:
            return
        assert paths.ndim == 4
        assert paths.shape[0] == 1
        assert paths.shape[2:] == (5, 2)
        assert 2 <= paths.shape[1] <= PLACES
        assert not model.grad_seen
        # Paths end before the noise of the model is taken out.
        if not getattr(sampler, "denoise", False):
            assert torch.equal(paths[:, -1], sampler.sample(Normal(), 5, streams(1)).points)
        assert not torch.equal(paths[:, 0], paths[:, -1])

    def test_members_sample_the_same_to_the_bit_alone(self, sampler: Sampler) -> None:
        mlp = MLP(2, "energy", 32, 2, "swish", self.conditional)
        theta = mlp.init([torch.Generator().manual_seed(k) for k in range(3)])
        together = sampler.sample(NetworkModel(mlp, theta, 0.05), 1103, streams(3)).points
        for k in range(3):
            model = NetworkModel(mlp, theta[k : k + 1], 0.05)
            assert torch.equal(together[k], sampler.sample(model, 1103, streams(1, k)).points[0])

    def test_says_what_it_is_unfit_for(self, sampler: Sampler) -> None:
        dataset = get_dataset("8gaussians")
        assert sampler.unfit(Setting(dataset, energy=True, levels=True)) is None
