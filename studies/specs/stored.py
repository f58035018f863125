"""Optuna's storages of other studies, opened for reading only."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend

from ...datasets.errors import UsageError
from .carry import found

_SQLITE = "sqlite:///"


class Journal(BaseJournalBackend):
    """A journal file, read without its lock up to the last complete line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Read entries from a number on."""
        with self._path.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    return
                if number >= log_number_from:
                    yield json.loads(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:  # noqa: ARG002
        """Refuse to write."""
        raise UsageError(f"{str(self._path)!r} is read-only here")


def open_stored(name: str, folder: Path) -> tuple[BaseStorage, str]:
    """Open a storage that exists; return it, and its name without passwords.

    Args:
        name: Path of a journal file, ``sqlite:///PATH``, or the URL of another database.
        folder: Where paths start; those of overrides may start from the current folder.

    Raises:
        UsageError: There is none, or it cannot be read.
    """
    scheme, url, _ = name.partition("://")
    path = found(name.removeprefix(_SQLITE).partition("?")[0], folder)
    in_file = not url or name.startswith(_SQLITE)
    shown = name if in_file else f"{scheme}://..."
    if in_file and not path.is_file():
        raise UsageError(f"search.warm = {name!r}: there is no file {str(path)!r}")
    if url and in_file:
        # SQLite makes files that do not exist, and Optuna tables.
        name = f"{_SQLITE}file:{path.resolve()}?mode=ro&uri=true"
    try:
        storage = (
            RDBStorage(name, skip_table_creation=True) if url else JournalStorage(Journal(path))
        )
        storage.get_all_studies()
    except Exception as error:  # Optuna raises anything on what is no storage
        raise UsageError(f"search.warm = {shown!r} cannot be read as Optuna's storage") from error
    return storage, shown
