"""Rows by slot, in a fraction of the memory: those of cells that nobody works on are packed."""

import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence

from ...bench.spec import RunResult
from ..cell import Cell, Slot
from .rows import Row

_MOST = 20_000


class PackedRows(Mapping[Slot, Row]):
    """Rows by slot, cell by cell; those of a cell are in the order in which they were added.

    A cell is unpacked when one of its rows is asked for by slot, and stays so until it is packed.
    ``cells`` and ``stream`` go through all rows and leave them packed. While rows are added to many
    cells in turn, as when a table is read, all are packed every now and then.
    """

    def __init__(self) -> None:
        self._open: dict[Cell, dict[Slot, Row]] = {}
        self._packed: dict[Cell, list[bytes]] = {}
        # So that no cell is unpacked for a slot that it does not have.
        self._hashes: set[int] = set()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Slot]:
        return (row.slot for row in self.stream())

    def __contains__(self, slot: object) -> bool:
        return hash(slot) in self._hashes and super().__contains__(slot)

    def __getitem__(self, slot: Slot) -> Row:
        return self._unpacked(slot.cell)[slot]

    @property
    def names(self) -> set[Cell]:
        """Cells that have rows."""
        return {cell for cell, own in self._open.items() if own} | self._packed.keys()

    def add(self, row: Row) -> None:
        """Add a row at a free slot."""
        self._open.setdefault(row.slot.cell, {})[row.slot] = row
        self._hashes.add(hash(row.slot))
        self._length += 1
        if self._length % _MOST == 0:
            for cell in list(self._open):
                self.pack(cell)

    def pop(self, slot: Slot) -> Row:
        """Remove a row and return it."""
        row = self._unpacked(slot.cell).pop(slot)
        self._length -= 1
        return row

    def drop(self, cells: Collection[Cell]) -> None:
        """Remove the rows of some cells."""
        for cell in cells:
            self._length -= len(self.of(cell))
            self._open.pop(cell, None)
            self._packed.pop(cell, None)

    def of(self, cell: Cell) -> list[Row]:
        """Return the rows of a cell, which stays as it is."""
        packed = [row for part in self._packed.get(cell, ()) for row in _unpack(cell, part)]
        return packed + list(self._open.get(cell, {}).values())

    def cells(self) -> Iterator[tuple[Cell, list[Row]]]:
        """Yield each cell with its rows, one at a time."""
        for cell in dict.fromkeys([*self._packed, *self._open]):
            if rows := self.of(cell):
                yield cell, rows

    def stream(self) -> Iterator[Row]:
        """Yield all rows; those of one cell at a time are in memory."""
        return (row for _, rows in self.cells() for row in rows)

    def pack(self, cell: Cell) -> None:
        """Pack the rows of a cell until one of them is asked for."""
        if rows := list(self._open.pop(cell, {}).values()):
            self._packed.setdefault(cell, []).append(_pack(rows))

    def _unpacked(self, cell: Cell) -> dict[Slot, Row]:
        if cell in self._packed:
            rows = {row.slot: row for row in self.of(cell)}
            del self._packed[cell]
            self._open[cell] = rows
        return self._open.get(cell, {})


def _pack(rows: Sequence[Row]) -> bytes:
    """Write rows of a cell as lines: their specs, which are JSON, and before them all the rest."""
    rest = [(row.slot[1:], row.result.model_dump(), row.environment, row.suggested) for row in rows]
    lines = [json.dumps(rest, separators=(",", ":")), *(row.spec for row in rows)]
    return zlib.compress("\n".join(lines).encode(), 1)


def _unpack(cell: Cell, part: bytes) -> Iterator[Row]:
    rest, *specs = zlib.decompress(part).decode().split("\n")
    for spec, (place, result, environment, suggested) in zip(specs, json.loads(rest), strict=True):
        slot = Slot(cell, *place)
        yield Row(slot, spec, RunResult.model_validate(result), environment, suggested)
