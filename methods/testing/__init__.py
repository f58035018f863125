"""Checks that objectives, samplers and networks must pass, and the same checks for pytest.

The author of a plug-in subclasses one of the classes::

class TestDSM(MethodConformance):
    name = "dsm"

class TestLangevin(SamplerConformance):
    name = "langevin"

class TestMyNet(NetworkConformance):
    make = MyNet
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from ...datasets.testing.conformance import Check, CheckFailedError, Conformance
from .. import methods
from .. import samplers as registered_samplers
from ..estimators.base import Estimator
from ..module_network import ModuleNetwork
from ..objectives.base import Options
from . import estimators, networks, objectives, samplers
from .draws import draw_options, streams
from .samplers import Normal

if TYPE_CHECKING:
    import pytest

__all__ = [
    "CheckFailedError",
    "MethodConformance",
    "NetworkConformance",
    "Normal",
    "SamplerConformance",
    "draw_options",
    "streams",
]


class MethodConformance(Conformance):
    """The checks of a training objective, or of a method that makes its model itself, as tests.

    Attributes:
        name: Name in the registry.
        options: Hyperparameters to fix; the others are drawn from the search space.
    """

    checks = objectives.CHECKS
    name: ClassVar[str]
    options: ClassVar[Options] = {}

    def pytest_generate_tests(self, metafunc: "pytest.Metafunc") -> None:
        """Choose the checks by the kind of the method (pytest calls this hook)."""
        if issubclass(methods.get(self.name), Estimator):
            type(self).checks = estimators.CHECKS
        super().pytest_generate_tests(metafunc)

    def test_passes(self, check: Check) -> None:
        """Run one check."""
        check(methods.get(self.name), self.options)


class NetworkConformance(Conformance):
    """The checks of a module as tests, for every kind and dimension.

    Attributes:
        make: Makes the module.
        kinds: What the module can be.
        dims: Dimensions of data that it can be used for.
        smooth: Whether an energy has a second derivative, which implicit methods use.
    """

    checks = networks.CHECKS
    make: ClassVar[Callable[..., torch.nn.Module]]
    kinds: ClassVar[tuple[Literal["energy", "score"], ...]] = ("energy", "score")
    dims: ClassVar[tuple[int, ...]] = (2,)
    smooth: ClassVar[bool] = True

    def test_passes(self, check: Check) -> None:
        """Run one check."""
        if check is networks.energies_are_smooth and not self.smooth:
            return
        for kind in self.kinds:
            for dim in self.dims:
                check(ModuleNetwork(type(self).make, dim, kind))


class SamplerConformance(Conformance):
    """The checks of a sampler as tests.

    Attributes:
        name: Name in the registry.
        options: Options other than the defaults.
    """

    checks = samplers.CHECKS
    name: ClassVar[str]
    options: ClassVar[Options] = {}

    def test_passes(self, check: Check) -> None:
        """Run one check."""
        check(registered_samplers.get(self.name)(**self.options))
