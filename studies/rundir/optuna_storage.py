"""Storages for Optuna's trials: a journal file or a database. Both can be rebuilt from the rows."""

import hashlib
import json
import platform
import re
import time
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ...datasets.errors import UsageError
from .files import clear_locks
from .read import JOURNAL

PATIENCE = 60.0
"""Seconds to wait for a database that does not respond."""


class Database(RDBStorage):
    """A database that several studies may share, each with a prefix of the names in it."""

    prefix: str = ""

    def masked(self, message: str) -> str:
        """Hide the passwords of the database's URL in a message."""
        return _hide(message, str(self.url))


def masked(url: str) -> str:
    """Replace the passwords of a URL, before its host and in its query, by ``***``.

    The URL may be malformed: everything between the user's name and the last @ counts as password.
    """
    before, at, place = url.rpartition("@")
    return _QUERY.sub(r"\1***", _USER.sub(r"\1:***", before) + at + place)


# The scheme's colon is not that of a password, so the scheme is not given back (?+).
_USER = re.compile(r"^((?:[\w+.-]+://)?+[^:]*):.*", re.DOTALL)
_QUERY = re.compile(r"([?&][^=&]*(?:pass|secret|token|key|credential)[^=&]*=)[^&]*", re.IGNORECASE)


def _hide(message: str, url: str) -> str:
    """Hide the passwords of a valid URL in a message."""
    parsed = make_url(url)
    fields = (f"?{name}=" for name in parsed.query)
    names = [field[1:-1] for field in fields if _QUERY.fullmatch(field)]
    secrets = [parsed.password, *(parsed.query[name] for name in names)]
    for secret in map(str, filter(None, secrets)):
        for written in (secret, quote(secret, safe="")):
            message = message.replace(written, "***")
    return message


def open_storage(directory: Path, url: str | None) -> BaseStorage:
    """Open the database at ``url``; without one, the journal of the run directory."""
    return open_journal(directory / JOURNAL) if url is None else open_database(url, directory)


def open_memory() -> BaseStorage:
    """Open a storage that ends with this process."""
    return InMemoryStorage()


def check_url(url: str) -> str:
    """Return the URL of a database as it can be shown.

    Raises:
        UsageError: It is no URL of a database that can be used, or its driver is missing.
    """
    shown = masked(url)
    try:
        port = make_url(url).port
        valid = 0 < (port or 1) <= 65535
    except (ArgumentError, ValueError):
        valid = False
    if not valid:
        raise UsageError(
            f"--storage {shown!r} is not a URL, or its port is no number from 1 to 65535: give one "
            "such as postgresql+psycopg://user@host/database"
        )
    if not url.startswith("postgresql+psycopg://"):
        raise UsageError(f"--storage {shown!r} is not supported: use postgresql+psycopg://...")
    try:
        make_url(url).get_dialect().import_dbapi()
    except (ImportError, NoSuchModuleError) as error:
        raise UsageError(
            "the driver of PostgreSQL is not installed: pip install 'scorebench[postgres]'"
        ) from error
    return shown


def open_database(url: str, directory: Path) -> Database:
    """Open an Optuna storage in a database, where the directory distinguishes studies of one name.

    URLs are ``postgresql+psycopg://user@host/database``; passwords are written neither to files nor
    to messages.

    Raises:
        UsageError: The URL is invalid, its driver is missing, or the database does not respond.
    """
    shown = check_url(url)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            storage = Database(url, engine_kwargs={"pool_pre_ping": True})
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            if time.monotonic() > end:
                why = _hide(str(error).splitlines()[0], url)
                raise UsageError(f"the storage {shown!r} is not responding: {why}") from error
            time.sleep(0.5)
        else:
            place = f"{platform.node()}\n{directory.resolve()}"
            storage.prefix = f"{hashlib.sha256(place.encode()).hexdigest()[:12]}-"
            return storage


def open_journal(path: Path) -> BaseStorage:
    """Open the Optuna journal and repair it; the caller holds the lock of its directory.

    Optuna cannot read a line that a kill or a full disk cut short, so everything from the first
    broken line on is dropped.
    """
    path = path.resolve()
    # Only a killed process can have left a lock, and Optuna waits half a minute until it expires.
    clear_locks(path)
    _drop_broken_tail(path)
    storage = _open(path)
    try:
        storage.get_all_studies()
    except Exception:  # Optuna raises anything on a damaged journal
        path.unlink()
        storage = _open(path)
    return storage


class _Journal(JournalFileBackend):
    """Optuna's journal file without forcing every line to disk.

    Optuna writes several lines per trial; lines lost in a power cut are rebuilt from the rows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open_lock = JournalFileOpenLock(str(path))
        super().__init__(str(path), lock_obj=self._open_lock)

    def append_logs(self, logs: list[dict[str, object]]) -> None:
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        self._open_lock.acquire()
        try:
            with self._path.open("ab") as file:
                file.write(text.encode())
        finally:
            self._open_lock.release()


def _open(path: Path) -> JournalStorage:
    return JournalStorage(_Journal(path))


def _drop_broken_tail(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        valid_bytes = 0
        for line in file:
            if not (line.startswith(b"{") and line.endswith(b"}\n")):
                file.truncate(valid_bytes)
                break
            valid_bytes += len(line)
