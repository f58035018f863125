"""Data files that a study names: they travel with it, or their hash does if they are large."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import field_validator

from ..datasets.errors import UsageError
from .spec import Frozen

MOST = 1_000_000
"""Bytes of a file whose content a study carries."""

DATASET = "points"
"""Name of the dataset that reads a file of points."""

_WORD = re.compile(r"[A-Za-z0-9_]+")


class DataFile(Frozen):
    """A file of points, or a table of recorded runs.

    Attributes:
        file: Its name, without folders.
        sha256: Hash of its content.
        content: Its bytes in base64; empty if there are more than a million.
        place: Where it was, if its content is left out.
    """

    file: str
    sha256: str
    content: str = ""
    place: str = ""

    @field_validator("content")
    @classmethod
    def _decodable(cls, content: str) -> str:
        try:
            base64.b64decode(content, validate=True)
        except ValueError as error:
            raise UsageError(f"the content of a data file is damaged: {error}") from error
        return content


def provide(files: Iterable[DataFile]) -> None:
    """Let ``known_content`` find the files of a study by the hashes of their content."""
    for file in files:
        # Imported on first use: it loads NumPy, which reading a study does without.
        from ..datasets.point_files import carry

        # A file that was left out must be where it was: here, or where the study was read.
        places = (Path(file.place), Path(file.file))
        found = next((place for place in places if place.is_file()), places[0])
        content = base64.b64decode(file.content) if file.content else found.absolute()
        carry(file.sha256, content)


def carry_files(data: dict[str, Any], folder: Path) -> None:
    """Add the data files that the tables of a study file name to these tables.

    Paths start from ``folder``, or from the current one. Datasets of points then have the name and
    the hash of the content, and unless they have a label that of the file; ``recorded`` has the
    name.

    Raises:
        UsageError: A file cannot be read.
    """
    known = data.get("data", [])
    if not isinstance(known, list) or not all(isinstance(file, dict) for file in known):
        return  # refused when the study is parsed
    files = {file.sha256: file for file in _carry_points(data.get("datasets"), folder)}
    table = data.get("recorded")
    carried = [file.get("file") for file in known]
    if isinstance(table, str) and table.endswith(".json") and table not in carried:
        place = _found(table, folder)
        if not place.is_file():
            raise UsageError(f"recorded = {table!r}: there is no such file")
        file = _read(place)
        files[file.sha256] = file
        data["recorded"] = file.file
        known = [other for other in known if other.get("file") != file.file]
    if files:
        kept = [file for file in known if file.get("sha256") not in files]
        data["data"] = kept + [file.model_dump() for file in files.values()]


def _carry_points(entries: object, folder: Path) -> Iterator[DataFile]:
    """Yield the files of datasets of points, whose entries get their names and hashes."""
    if not isinstance(entries, list):
        return
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("name") != DATASET or "sha256" in entry:
            continue
        path = entry.get("path")
        if not isinstance(path, str) or not path:
            continue
        place = _found(path, folder)
        file = _read(place)
        label = {"label": place.stem} if _WORD.fullmatch(place.stem) else {}
        entries[i] = {**label, **entry, "path": file.file, "sha256": file.sha256}
        yield file


def _found(path: str, folder: Path) -> Path:
    return folder / path if (folder / path).exists() else Path(path)


def _read(place: Path) -> DataFile:
    from ..datasets.point_files import content_of

    content = content_of(place)
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > MOST:
        return DataFile(file=place.name, sha256=digest, place=str(place))
    return DataFile(file=place.name, sha256=digest, content=base64.b64encode(content).decode())
