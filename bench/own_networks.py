"""From a study's ``network`` table to an architecture: a perceptron, or the user's own module."""

import inspect
from functools import partial
from typing import Any

from ..datasets.errors import UsageError, unknown
from ..methods.module_network import ModuleNetwork
from ..methods.network_model import Network
from ..methods.networks import MLP
from .plugins import module_of
from .spec import NetworkSpec


def network_of(spec: NetworkSpec, dim: int, *, conditional: bool) -> Network:
    """The architecture that a study describes.

    Args:
        spec: The description.
        dim: Dimension of the data.
        conditional: Whether the network is told the noise level.

    Raises:
        UsageError: A module of the user's own cannot be found or made.
    """
    if spec.module is None:
        return MLP(dim, spec.kind, spec.width, spec.depth, spec.activation, conditional)
    make = _maker(spec.module, spec.options)
    try:
        return ModuleNetwork(make, dim, spec.kind, conditional=conditional)
    except UsageError:
        raise
    except Exception as error:
        given = ", ".join(f"{key} = {value!r}" for key, value in spec.options.items())
        what = f"{type(error).__name__}: {error}".split("\n")[0]
        raise UsageError(
            f"network {spec.module!r} cannot be made with {given or 'no options'}: {what}"
        ) from error


def _maker(name: str, options: dict[str, Any]) -> Any:
    where, _, attribute = name.partition(":")
    module = module_of(where)
    made = getattr(module, attribute, None)
    if not callable(made):
        raise unknown(f"class in {where} called", attribute, _classes(module))
    try:
        parameters = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return partial(made, **options)
    several = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for option in options:
        if option not in parameters and not several:
            own = [key for key in parameters if key not in ("inputs", "outputs")]
            if not own:
                raise UsageError(f"network {name!r} takes no options, but was given {option!r}")
            raise unknown(f"option of the network {name!r} called", option, own)
    return partial(made, **options)


def _classes(module: Any) -> list[str]:
    """Classes that a module defines; those that it only imports are not meant."""
    found = vars(module).items()
    return [key for key, value in found if getattr(value, "__module__", "") == module.__name__]
