"""Make an architecture from a study's ``network`` table: a perceptron, or the user's module."""

import inspect
from functools import partial
from typing import Any

from torch import nn

from ..datasets.errors import UsageError, told, unknown
from ..datasets.steady import neutral
from ..methods.module_network import ModuleNetwork
from ..methods.network_model import Network
from ..methods.networks import MLP, GaussianBase, Prediction
from .plugins import module_of
from .spec import NetworkSpec


def network_of(
    spec: NetworkSpec,
    dim: int,
    *,
    conditional: bool,
    base: GaussianBase | None = None,
    predicts: Prediction = "velocity",
) -> Network:
    """Make a study's network for data in R^dim; the noise level is an input if ``conditional``.

    Raises:
        UsageError: The user's module is unknown or cannot be made.
    """
    if spec.module is None:
        return MLP(
            dim, spec.kind, spec.width, spec.depth, spec.activation, conditional, base, predicts
        )
    make = _maker(spec.module, spec.options)
    try:
        with neutral():
            return ModuleNetwork(
                make, dim, spec.kind, conditional=conditional, base=base, predicts=predicts
            )
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        options = ", ".join(f"{key} = {value!r}" for key, value in spec.options.items())
        raise UsageError(
            f"network {spec.module!r} cannot be made with {options or 'no options'}: "
            f"{told(error, module_of(spec.module.partition(':')[0]).__name__)}"
        ) from error


def _maker(name: str, options: dict[str, Any]) -> Any:
    """Find the class of a network and bind its options."""
    module_name, _, attribute = name.partition(":")
    module = module_of(module_name)
    network_class = getattr(module, attribute, None)
    if network_class is None:
        raise unknown(f"class in {module_name} called", attribute, _classes(module))
    if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
        raise UsageError(
            f"network {name!r} is not a subclass of torch.nn.Module, so it was not called: "
            "name a class that is one"
        )
    try:
        parameters = inspect.signature(network_class).parameters
    except (TypeError, ValueError):
        return partial(network_class, **options)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for option in options:
        if option not in parameters and not takes_any:
            allowed = [key for key in parameters if key not in ("inputs", "outputs")]
            if not allowed:
                raise UsageError(f"network {name!r} takes no options, but was given {option!r}")
            raise unknown(f"option of the network {name!r} called", option, allowed)
    return partial(network_class, **options)


def _classes(module: Any) -> list[str]:
    """List the names that a module defines itself, without imported ones."""
    names = vars(module).items()
    return [name for name, value in names if getattr(value, "__module__", "") == module.__name__]
