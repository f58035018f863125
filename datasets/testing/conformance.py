"""What all conformance checks share: how a check fails, and how pytest runs a list of checks.

A check is a function that returns nothing or raises ``CheckFailedError``; the first line of its
docstring states the property. Nothing here imports pytest: ``scorebench check`` runs without it.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch

if TYPE_CHECKING:
    import pytest

Check = Callable[..., None]


class CheckFailedError(Exception):
    """A property does not hold; the message is one line: the problem, then the fix."""


def require(condition: object, problem: str) -> None:
    """Raise ``CheckFailedError`` with the problem as its message unless the condition is true."""
    if not condition:
        raise CheckFailedError(problem)


def property_of(check: Callable[..., object]) -> str:
    """Return the property that a check tests, as a sentence without its full stop."""
    return (check.__doc__ or "").split("\n")[0].rstrip(".")


def seeded(seed: int) -> torch.Generator:
    """Make a generator with this seed."""
    return torch.Generator().manual_seed(seed)


class Conformance:
    """A test class that runs each check of a list as one test.

    Attributes:
        checks: The checks.
        skipped: Names of checks that do not apply, and are left out.
    """

    checks: ClassVar[Sequence[Check]] = ()
    skipped: ClassVar[Collection[str]] = ()

    def pytest_generate_tests(self, metafunc: "pytest.Metafunc") -> None:
        """Make one test of each check (pytest calls this hook)."""
        if "check" in metafunc.fixturenames:
            checks = [check for check in self.checks if check.__name__ not in self.skipped]
            metafunc.parametrize("check", checks, ids=lambda check: check.__name__)
