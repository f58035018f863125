"""Decide the options of datasets, samplers and references: what a study gives, else defaults."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from ...bench.spec import Option, Plugin
from ...datasets.errors import UsageError, unknown
from ...methods.space import MiddleTrial
from ..engine import Engine
from .entries import Choices, Entry
from .trials import suggest

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

BOX = "box"
"""Option of samplers and methods: half the side of a box around the data."""

_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def with_lists(entry: Entry, parameters: Mapping[str, inspect.Parameter]) -> Entry:
    """Take lists as values where an option is a list by its default or annotation."""
    lists = {
        name: leaf.choices
        for name, leaf in entry.settings.items()
        if isinstance(leaf, Choices) and name in parameters and _is_list(parameters[name])
    }
    return entry.model_copy(update={"settings": {**entry.settings, **lists}})


def _is_list(parameter: inspect.Parameter) -> bool:
    written = str(parameter.annotation).lower()
    return isinstance(parameter.default, tuple | list) or any(
        f"{kind}[" in written or written == kind for kind in ("sequence", "list", "tuple")
    )


def resolve(kind: str, entry: Entry, engine: Engine, dataset: Plugin | None = None) -> Plugin:
    """Decide all options of a dataset, sampler or reference, open ones by their middle.

    The default of an option ``box`` of a sampler grows and shrinks with the ``dataset``. Numbers
    take the type of their default, so that 1 and 1.0 are the same run.

    Raises:
        UsageError: An option is unknown, of the wrong type, or has no value.
    """
    parameters = engine.options(kind, entry.name)
    known = {name: option for name, option in parameters.items() if option.kind in _NAMED}
    entry = with_lists(entry, known)
    for name in entry.settings:
        if name not in known:
            if not known:
                raise UsageError(f"{kind} {entry.name!r} takes no options, so {name} cannot be set")
            raise unknown(f"option of {kind} {entry.name!r}", name, known)
    middle = cast("BaseTrial", MiddleTrial())
    options: dict[str, Option] = {}
    for name, parameter in known.items():
        if name in entry.settings:
            leaf, form = entry.settings[name], type(parameter.default)
            options[name] = suggest(middle, f"{entry.label}.{name}", leaf, form)
        elif parameter.default is inspect.Parameter.empty:
            raise UsageError(f"{kind} {entry.label!r} needs a value for {name}")
        elif isinstance(parameter.default, bool | int | float | str):
            options[name] = parameter.default
            if name == BOX and dataset is not None:
                options[name] = engine.scaled(parameter.default, dataset)
    return Plugin(name=entry.name, options=options)
