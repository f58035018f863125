"""The user's own folders, and files that other users of the machine cannot put anything into."""

import os
import secrets
import stat
from pathlib import Path
from typing import Literal

import platformdirs

_PACKAGE = __name__.split(".")[0]


def user_folder(kind: Literal["cache", "state"], variable: str) -> Path | None:
    """Return the folder that an environment variable names, else the user's own.

    Returns:
        None if the variable is empty, or the user has no home.
    """
    given = os.environ.get(variable)
    if given is not None:
        return Path(given) if given else None
    find = {"cache": platformdirs.user_cache_dir, "state": platformdirs.user_state_dir}[kind]
    try:
        return Path(find(_PACKAGE, appauthor=False))
    except (RuntimeError, OSError, KeyError):
        return None


def is_private(folder: Path) -> bool:
    """Whether this user owns a folder, and nobody else can write to it or put another in its place.

    A link to a folder is not private.
    """
    try:
        status = folder.lstat()
        above = [parent.stat().st_mode for parent in folder.resolve().parents]
    except OSError:
        return False
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    # In a folder that everybody writes to, such as /tmp, only the sticky bit keeps others from
    # replacing what is in it.
    safe = all(not mode & stat.S_IWOTH or mode & stat.S_ISVTX for mode in above)
    return own and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and safe


def make_private(folder: Path) -> bool:
    """Create a folder for this user only if it does not exist; return whether it is private."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    return is_private(folder)


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace a file in an existing folder as a whole, so that no reader sees half of it.

    The content goes through a draft of a random name, which is new and no link. A link at ``path``
    is replaced; what it points to is not touched. With ``durable`` the content survives a power
    cut.

    Raises:
        OSError: The disk is full or the file cannot be written.
    """
    # Without the name of the file, which may already be as long as names can be.
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(draft, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        # On a full disk the draft would take the space that the next attempt needs.
        draft.unlink(missing_ok=True)
        raise
