"""Toy distributions with exact truth: samples, log densities, scores at every noise level."""

from typing import TYPE_CHECKING, Any

from .errors import UsageError
from .registry import Registry, options_of

if TYPE_CHECKING:
    from .base import Dataset

__all__ = ["UsageError", "datasets", "get_dataset"]

datasets: "Registry[type[Dataset]]" = Registry("dataset", "scorebench.datasets")

_made: dict[tuple[object, str], "Dataset"] = {}


def get_dataset(name: str, **options: Any) -> "Dataset":
    """The dataset called ``name``; asked again with equal options, the same object.

    Args:
        name: A name in the registry, for example ``"rings"``.
        **options: What the dataset's constructor takes.

    Raises:
        UsageError: There is no such dataset, or it does not take these options.
    """
    plugin = datasets.get(name)
    key = (plugin, repr(sorted(options.items())))
    if key not in _made:
        _made[key] = options_of(plugin, "dataset", name, options)
    return _made[key]
