"""Files of points that a study names: they travel with it, or their hash does if they are large."""

import base64
import hashlib
import re
from collections.abc import Iterable
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
    """A file of points.

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
            raise UsageError(f"the content of a file of points is damaged: {error}") from error
        return content


def provide(files: Iterable[DataFile]) -> None:
    """Let datasets find the files of a study by the hashes of their content."""
    for file in files:
        # Imported on first use: it loads NumPy, which reading a study does without.
        from ..datasets.point_files import carry

        # A file that was left out must be where it was: here, or where the study was read.
        places = (Path(file.place), Path(file.file))
        found = next((place for place in places if place.is_file()), places[0])
        content = base64.b64decode(file.content) if file.content else found.absolute()
        carry(file.sha256, content)


def carry_points(data: dict[str, Any], folder: Path) -> None:
    """Add the files of points that the datasets of a study file name to the file itself.

    Paths start from ``folder``, or from the current one. The datasets then have the name and the
    hash of the content, and unless they have a label that of the file.

    Raises:
        UsageError: A file cannot be read.
    """
    entries = data.get("datasets")
    if not isinstance(entries, list):
        return
    files = {}
    for i, entry in enumerate(entries):
        named = entry == DATASET or (isinstance(entry, dict) and entry.get("name") == DATASET)
        if not named or not isinstance(entry, dict) or "sha256" in entry:
            continue
        path = entry.get("path")
        if not isinstance(path, str) or not path:
            continue
        place = folder / path if (folder / path).exists() else Path(path)
        file = _read(place)
        files[file.sha256] = file
        label = {"label": place.stem} if _WORD.fullmatch(place.stem) else {}
        entries[i] = {**label, **entry, "path": file.file, "sha256": file.sha256}
    if files:
        known = data.get("data", [])
        kept = [file for file in known if file.get("sha256") not in files]
        data["data"] = kept + [file.model_dump() for file in files.values()]


def _read(place: Path) -> DataFile:
    from ..datasets.point_files import content_of

    content = content_of(place)
    digest = hashlib.sha256(content).hexdigest()
    if len(content) > MOST:
        return DataFile(file=place.name, sha256=digest, place=str(place))
    return DataFile(file=place.name, sha256=digest, content=base64.b64encode(content).decode())
