"""Toy distributions with exact truth: samples, log densities, scores at every noise level."""

from typing import TYPE_CHECKING

from .errors import UsageError
from .registry import Registry, options_of

if TYPE_CHECKING:
    from .base import Dataset

__all__ = ["UsageError", "datasets", "get_dataset"]

datasets: "Registry[type[Dataset]]" = Registry("dataset", "scorebench.datasets")

_instances: dict[tuple[object, str], "Dataset"] = {}


def get_dataset(name: str, **options: object) -> "Dataset":
    """Return the dataset called ``name``; equal options give the same object.

    Args:
        name: A name in the registry, for example ``"rings"``.
        **options: Arguments of the dataset's constructor.

    Raises:
        UsageError: The dataset is unknown, or does not take these options.
    """
    plugin = datasets.get(name)
    key = (plugin, repr(sorted(options.items())))
    if key not in _instances:
        _instances[key] = options_of(plugin, "dataset", name, options)
    return _instances[key]
