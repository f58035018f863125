"""Checks of the search space of a method, whether it trains a network or makes its model itself."""

import inspect
from collections.abc import Callable, Collection

from ...datasets.testing.conformance import require
from ..estimators.base import Estimator
from ..objectives.base import Options, ScoreMatching
from ..space import survey


def space_is_the_same_in_every_call(method: type[ScoreMatching | Estimator], _: Options) -> None:
    """`space` suggests each hyperparameter from one range or list, by a name of its own."""
    survey(lambda trial: method().space(trial))


def require_names(function: Callable[..., object], first: int, suggested: Collection[str]) -> None:
    """Fail unless a function takes by name what `space` suggests, and needs nothing else.

    Args:
        function: `loss` or `fit` of a method.
        first: Number of its parameters that are no hyperparameters; they come first.
        suggested: Names that `space` suggests.
    """
    called = function.__name__
    parameters = list(inspect.signature(function).parameters.values())[first:]
    named = {p.name: p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in suggested:
        require(
            name in named or takes_any,
            f"`space` suggests {name!r}, which `{called}` does not take: add it behind the `*`",
        )
    for name, parameter in named.items():
        require(
            name in suggested or parameter.default is not parameter.empty,
            f"`{called}` needs {name!r}, which `space` does not suggest: return it there, or give "
            "it a default",
        )
