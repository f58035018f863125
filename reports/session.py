"""Independence of a function from the settings of torch and NumPy in the user's session."""

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
