"""Files that are either there and whole, or not there."""

import os
from pathlib import Path

from ...datasets.errors import UsageError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by way of a neighbour, so that no reader ever meets half of it.

    Args:
        path: What to write; its folder exists.
        content: All of it.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # On a full disk it would take the room that the next attempt needs.
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)


def write_if_changed(path: Path, content: bytes) -> bool:
    """Write unless the file already says exactly this; tells whether it wrote."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    write_atomically(path, content)
    return True


def clear_drafts(folder: Path) -> None:
    """Remove what a killed writer left."""
    for draft in folder.rglob(".*.draft"):
        draft.unlink()


def clear_locks(path: Path) -> None:
    """Remove the lock files beside a file that a killed writer left; nobody else may be writing."""
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)


def refused(path: Path, what: str, error: OSError) -> UsageError:
    """The one line for a file or folder that the system does not let us use."""
    return UsageError(f"cannot {what} {str(path)!r}: {error.strerror or error}")
