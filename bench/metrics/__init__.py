"""Distances of samples or models from the truth, one file per family."""

from typing import TYPE_CHECKING

from ...datasets.registry import Registry

if TYPE_CHECKING:
    from .base import Measure

metrics: "Registry[type[Measure]]" = Registry("metric", "scorebench.bench.metrics")

__all__ = ["metrics"]
