"""The parts of a study: cells, the slots of their runs, and the jobs that fill the slots."""

from collections.abc import Mapping
from typing import NamedTuple

from ..bench.spec import Option, Phase, RunSpec
from ..bench.streams import stream


class Cell(NamedTuple):
    """Labels of a method (or reference), a dataset and a sampler, in one restart of the study.

    Attributes:
        method: Label of the method, or of the reference.
        dataset: Label of the dataset.
        sampler: Label of the sampler.
        restart: Number of the independent repetition of search and confirmation.
        searcher: Label of the searcher; empty for the first of the study, and for references.
    """

    method: str
    dataset: str
    sampler: str
    restart: int = 0
    searcher: str = ""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Labels of the method, the dataset and the sampler."""
        return self.method, self.dataset, self.sampler

    @property
    def stem(self) -> str:
        """Start of the names of the cell's files."""
        number = [f"r{self.restart}"] if self.restart else []
        return "-".join([*self.labels, *filter(None, [self.searcher]), *number])

    @property
    def named(self) -> dict[str, str | int]:
        """Columns of the cell in a table; the first restart has no number."""
        further: dict[str, str | int] = {"restart": self.restart, "searcher": self.searcher}
        given = {name: value for name, value in further.items() if value}
        return dict(zip(self._fields, self.labels, strict=False)) | given

    @property
    def stored(self) -> list[str | int]:
        """The cell as stored in rows, without the zeros and empty texts at its end."""
        if self.searcher:
            return list(self)
        return [*self.labels, self.restart] if self.restart else list(self.labels)


def restart_seed(seed: int, restart: int) -> int:
    """Return the root seed of a restart; the restart equals a study with this seed.

    Args:
        seed: Root seed of the study and of its first restart.
        restart: Number of the restart.
    """
    return stream(seed, "restart", restart) if restart else seed


def numbered(options: Mapping[str, Option], number: int) -> dict[str, Option]:
    """Put the number of a run into options that name files, for methods that read them.

    ``{seed}`` becomes the number. Without it runs share a file, and ``part`` counts its parts.
    """
    found = {
        name: value.replace(SEED, str(number)) if isinstance(value, str) else value
        for name, value in options.items()
    }
    return found | ({"part": number} if found == options and "part" in options else {})


SEED = "{seed}"


class Slot(NamedTuple):
    """The unique place of a row in its table.

    Attributes:
        cell: The cell of the run.
        phase: Phase of the study.
        trial: Number of the configuration in its cell; None for reference rows.
        replicate: Number of the repetition.
    """

    cell: Cell
    phase: Phase
    trial: int | None
    replicate: int


class Job(NamedTuple):
    """A planned run of a cell.

    Attributes:
        slot: The slot of its row.
        spec: Its settings.
        suggested: Optuna's parameters of a trial, from which the method derived its options.
    """

    slot: Slot
    spec: RunSpec
    suggested: dict[str, Option] | None = None
