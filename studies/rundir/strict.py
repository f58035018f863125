"""Read files that may come from anywhere: of limited size, plain files only, strict JSON."""

import json
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from ...bench.plugins import decoded
from ...datasets.errors import UsageError

LARGEST = 64_000_000
"""Bytes of the largest text file that is read: a study, a manifest, a table of environments."""

LONGEST_LINE = 4_000_000
"""Bytes of the longest line of the table of runs."""

_DEEPEST = 20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading; a pipe or device, which may never end, is not opened.

    Raises:
        OSError: The file cannot be read, or is not a plain file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "it is not a plain file", str(path))
    return path.open("rb")


def read_text(path: Path) -> str:
    """Read a text file of at most ``LARGEST`` bytes.

    Raises:
        UsageError: The file is larger.
        OSError: The file cannot be read.
        ValueError: It is no text: see ``decoded``.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(LARGEST + 1) if size <= LARGEST else b""
    if max(size, len(data)) > LARGEST:
        raise UsageError(
            f"{str(path)!r} is damaged: it has {size:,} bytes, and at most {LARGEST:,} are read"
        )
    return decoded(data)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, each at most ``LONGEST_LINE`` bytes.

    Raises:
        ValueError: A line is longer.
    """
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise ValueError(f"it is longer than {LONGEST_LINE:,} bytes")
        yield line


def parse_json(text: str | bytes) -> Any:
    """Parse JSON as the standard defines it, in UTF-8.

    Raises:
        ValueError: The text is not JSON, holds NaN, a name twice, text that UTF-8 cannot encode,
            or is nested more than 20 deep.
    """
    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repetition)
        # Counted first: most texts have too few brackets to be nested deeply.
        brackets = text.count("{") + text.count("[")
        too_deep = brackets > _DEEPEST and _depth_exceeds(value, _DEEPEST)
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ValueError("it is nested too deeply")
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half a character (a lone surrogate)") from None
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"it names {twice[:80]!r} twice")
    return table


def _depth_exceeds(value: object, limit: int) -> bool:
    """Whether lists and tables are nested more than ``limit`` deep; needs no recursion."""
    level: list[Iterable[object]] = [[value]]
    for _ in range(limit + 1):
        inner: list[Iterable[object]] = []
        for items in level:
            for item in items:
                if isinstance(item, dict):
                    inner.append(item.values())
                elif isinstance(item, list):
                    inner.append(item)
        if not inner:
            return False
        level = inner
    return True
