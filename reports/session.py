"""The user's session: its settings of torch and NumPy, and the cores that it may use."""

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def undisturbed(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function under ``neutral``, which is imported when it is called: it loads torch."""

    @wraps(function)
    def call(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        from ..datasets.steady import neutral

        with neutral():
            return function(*arguments, **named)

    return call


def cores() -> int:
    """Return the number of cores that this process may use."""
    own = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if own else os.cpu_count() or 1
