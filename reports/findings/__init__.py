"""Known results of score matching, each reproduced by one command: one file per finding."""

from typing import TYPE_CHECKING

from ...datasets.registry import Registry

if TYPE_CHECKING:
    from .base import Finding

findings: "Registry[type[Finding]]" = Registry("finding", __name__)

__all__ = ["findings"]
