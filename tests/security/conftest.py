"""A finished study over the fake engine, and how its rows are doctored."""

import json

import pytest

from ..studies.conftest import copied, finished

__all__ = ["copied", "doctor", "finished"]


@pytest.fixture
def doctor(copied):
    """Change rows of a run directory, as ``doctor(change, method=..., phase=...)``.

    ``change`` is called with the parsed line and may return the lines to write instead.
    """

    def apply(change, method=None, phase=None, directory=copied, **where):
        table = directory / "runs.jsonl"
        lines, changed = [], 0
        for line in map(json.loads, table.read_text().splitlines()):
            label = line["cell"][0]
            chosen = method in (None, label) and phase in (None, line["phase"])
            if chosen and all(line[name] == value for name, value in where.items()):
                changed += 1
                lines += change(line) or [line]
            else:
                lines.append(line)
        assert changed
        table.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return directory

    return apply
