"""The result of a finding: its table, with claims, verdict and figure."""

import inspect
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from .base import Finding, right
from .figure import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..figures.style import Theme


@dataclass(frozen=True)
class FindingResult:
    """A computed finding.

    Attributes:
        name: Name in the registry.
        finding: The finding with its settings.
        everything: The rows of ``table``, and those of wrong implementations, which their column
            ``wrong`` names.
        directory: Directory of its files; None if there are none.
    """

    name: str
    finding: Finding
    everything: pd.DataFrame
    directory: Path | None = None

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for every measured number.

        Columns: ``experiment``, conditions, ``quantity``, ``value``, ``error`` (standard error) and
        ``expected`` (by theory, if known).
        """
        return right(self.everything)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every claim with its expected and measured number, and whether it ``holds``.

        Also the wrong implementation that must fail it (``wrong``), the number that this gives,
        and whether the claim ``fails`` with it.
        """
        return pd.DataFrame([claim.judge(self.everything) for claim in self.finding.claims])

    @property
    def holds(self) -> bool:
        """Whether every claim holds, and fails with its wrong implementation."""
        return bool((self.claims["holds"] & self.claims["fails"]).all())

    @property
    def verdict(self) -> str:
        """The result in a sentence or two, and the claims that do not hold."""
        sentence = self.finding.verdict(self.table)
        broken = self.claims[~self.claims["holds"]]
        if len(broken):
            names = ", ".join(dict.fromkeys(broken["id"]))
            sentence += f" {len(broken)} of {len(self.claims)} claims do not hold ({names})."
        weak = self.claims[~self.claims["fails"]]
        if len(weak):
            names = ", ".join(dict.fromkeys(weak["id"]))
            sentence += f" No wrong implementation fails {len(weak)} claims ({names})."
        return sentence

    @property
    def summary(self) -> str:
        """First line of the finding's description."""
        return self.about[0]

    @property
    def about(self) -> list[str]:
        """Paragraphs of the finding's description, without its settings."""
        text = (inspect.getdoc(type(self.finding)) or "").partition("\n\nAttributes:")[0]
        return [" ".join(part.split()) for part in text.split("\n\n")]

    def plot(self, width: float | None = None) -> "Figure":
        """Draw the figure; ``width`` in inches, 3.35 for a column of a paper."""
        return self.draw(width=width)

    def draw(self, theme: "Theme | None" = None, width: float | None = None) -> "Figure":
        """Draw the figure in the colours of a theme (default: light)."""
        return figure(self.table, self.finding.panels, self.finding.columns, theme, width)
