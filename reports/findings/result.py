"""What a finding gave: its table, its claims held against it, its figure and its page."""

import inspect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...studies.findings.base import Finding
from . import drawings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FindingResult:
    """A finding, computed.

    Attributes:
        name: In the registry.
        finding: With its settings.
        table: Every measured number, a row each: ``experiment``, conditions, ``quantity``,
            ``value``, ``error`` (standard error) and ``expected`` (by theory, where it is known).
        directory: Where it is kept; None if nowhere.
    """

    name: str
    finding: Finding
    table: pd.DataFrame
    directory: Path | None = None

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every claim with what was expected and measured, and whether it ``holds``."""
        return pd.DataFrame([claim.check(self.table) for claim in self.finding.claims])

    @property
    def holds(self) -> bool:
        """Whether every claim does."""
        return bool(self.claims["holds"].all())

    @property
    def verdict(self) -> str:
        """What was found, in a sentence or two; which claims do not hold, if any."""
        said = self.finding.verdict(self.table)
        broken = self.claims[~self.claims["holds"]]
        if len(broken):
            names = ", ".join(dict.fromkeys(broken["id"]))
            said += f" {len(broken)} of {len(self.claims)} claims do not hold ({names})."
        return said

    @property
    def summary(self) -> str:
        """First line of the finding's description."""
        return self.about[0]

    @property
    def about(self) -> list[str]:
        """The finding's description, a paragraph each; settings are left out."""
        text = (inspect.getdoc(type(self.finding)) or "").partition("\n\nAttributes:")[0]
        return [" ".join(part.split()) for part in text.split("\n\n")]

    def plot(self, width: float | None = None) -> "Figure":
        """The figure; ``width`` in inches, 3.35 being a column of a paper."""
        return self.draw(**({} if width is None else {"width": width}))

    def draw(self, **settings: Any) -> "Figure":
        """The figure, with all that figures take: ``theme`` and ``width``."""
        from .plain import plain

        make = drawings.get(self.name) if self.name in drawings.names() else plain
        return make(self.table, **settings)
