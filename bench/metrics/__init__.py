"""Distances between samples and ground truth: one small file each, found by its folder."""

from typing import TYPE_CHECKING

from ...datasets.registry import Registry

if TYPE_CHECKING:
    from .base import Metric

metrics: "Registry[type[Metric]]" = Registry("metric", "scorebench.bench.metrics")

__all__ = ["metrics"]
