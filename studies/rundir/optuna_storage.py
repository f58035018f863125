"""Where Optuna keeps its trials: a journal file, or a database. Either is rebuilt from the rows."""

import hashlib
import json
import platform
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ...datasets.errors import UsageError
from .files import clear_locks

PATIENCE = 60.0
"""Seconds that a database which went away is waited for."""


class Database(RDBStorage):
    """A database that many studies may share.

    Attributes:
        prefix: Begins the names of this run directory's studies in it.
    """

    prefix: str = ""


def open_database(url: str, directory: Path) -> Database:
    """Open an Optuna storage in a database.

    Args:
        url: ``postgresql+psycopg://user@host/database``; passwords are never written anywhere.
        directory: The run directory, which tells studies of one name apart.

    Raises:
        UsageError: The URL is none, its driver is missing, or nobody answers.
    """
    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except ArgumentError as error:
        raise UsageError(
            "--storage takes a URL such as postgresql+psycopg://user@host/database"
        ) from error
    if not shown.startswith("postgresql+psycopg://"):
        raise UsageError(f"--storage {shown!r}: only postgresql+psycopg://... is known")
    end = time.monotonic() + PATIENCE
    while True:
        try:
            storage = Database(url, engine_kwargs={"pool_pre_ping": True})
        except (ImportError, NoSuchModuleError) as error:
            raise UsageError(
                "the driver of PostgreSQL is not installed: pip install 'scorebench[postgres]'"
            ) from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if time.monotonic() > end:
                why = str(error).splitlines()[0]
                raise UsageError(f"the storage {shown!r} does not answer: {why}") from error
            time.sleep(0.5)
        else:
            place = f"{platform.node()}\n{directory.resolve()}"
            storage.prefix = f"{hashlib.sha256(place.encode()).hexdigest()[:12]}-"
            return storage


def open_journal(path: Path) -> BaseStorage:
    """Open the Optuna journal, mended; the caller holds the lock of its directory.

    A line that a kill or a full disk cut short makes Optuna fail for good, so everything from the
    first broken line on is dropped.
    """
    path = path.resolve()
    # Only a killed predecessor can have left it; waiting for it to expire takes half a minute.
    clear_locks(path)
    _drop_torn_tail(path)
    storage = _open(path)
    try:
        storage.get_all_studies()
    except Exception:  # Optuna raises anything on a damaged journal
        path.unlink()
        storage = _open(path)
    return storage


class _Journal(JournalFileBackend):
    """Optuna's journal file, not forced to disk after every line.

    It writes a handful of lines per trial, and what a power cut takes is rebuilt from the rows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open_lock = JournalFileOpenLock(str(path))
        super().__init__(str(path), lock_obj=self._open_lock)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._open_lock.acquire()
        try:
            with self._path.open("ab") as file:
                file.write(text.encode())
        finally:
            self._open_lock.release()


def _open(path: Path) -> JournalStorage:
    return JournalStorage(_Journal(path))


def _drop_torn_tail(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        good = 0
        for line in file:
            if not (line.startswith(b"{") and line.endswith(b"}\n")):
                file.truncate(good)
                break
            good += len(line)
