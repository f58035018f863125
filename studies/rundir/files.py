"""Files that survive a kill: whole or absent, or appended to line by line by one writer."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...datasets.errors import UsageError
from ...datasets.private import write_atomically as write_atomically

LOCK = ".lock"
"""File that the writer of a directory locks."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make this process the only writer of a directory, which is created if it does not exist.

    Raises:
        UsageError: Another process is writing to it, it holds links, or it cannot be created or
            written to.
    """
    # Imported on first use: slow to load, and workers lock nothing.
    from filelock import FileLock, Timeout

    lock = FileLock(directory / LOCK, blocking=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        refuse_links(directory)
        lock.acquire()
    except Timeout as error:
        raise UsageError(
            f"{str(directory)!r} is in use by another process: wait for it, or use another "
            "directory"
        ) from error
    except OSError as error:
        raise refused(directory, "write to", error) from error
    try:
        yield
    finally:
        lock.release()


def refuse_links(directory: Path) -> None:
    """Check that a run directory and its folders hold files only, whose content is their own.

    What is written to a link changes a file elsewhere, and what is exported from one is a copy of a
    file elsewhere.

    Raises:
        UsageError: There is a link.
        OSError: The directory cannot be read.
    """
    folders = [directory]
    for folder in folders:
        for entry in os.scandir(folder):
            if entry.is_symlink():
                raise UsageError(
                    f"{entry.path!r} is a link to another place: replace it by a copy of the file"
                )
            if folder is directory and entry.is_dir():
                folders.append(Path(entry.path))


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines, without line ends, to a file; when this returns they survive a power cut.

    The file is created if it does not exist; only one process may write to it. A line that a kill
    cut short is ended first, so that it stays apart from the new ones. If writing fails, the file
    is left as it was.

    Raises:
        UsageError: The disk is full or the file cannot be written to.
    """
    data = "".join(f"{line}\n" for line in lines).encode()
    with refusing(path, "write to"):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
        try:
            end = os.lseek(file, 0, os.SEEK_END)
            if end and os.pread(file, 1, end - 1) != b"\n":
                data = b"\n" + data
            try:
                _write_all(file, data)
            except OSError:
                os.ftruncate(file, end)
                raise
            os.fsync(file)
        finally:
            os.close(file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def truncate(path: Path, size: int) -> None:
    """Cut a file to its first ``size`` bytes and force that to disk; a shorter file is left alone.

    Raises:
        OSError: The file cannot be written to.
    """
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "rb+") as file:
        if file.seek(0, os.SEEK_END) > size:
            file.truncate(size)
            os.fsync(file.fileno())


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named, as a whole; devices such as ``/dev/stdout`` as they are.

    Raises:
        UsageError: The file cannot be written.
    """
    with refusing(path, "write"):
        device = path.parts[:2] in (("/", "dev"), ("/", "proc"))
        if device or (path.exists() and not path.is_file()):
            path.write_bytes(content)
        else:
            write_atomically(path, content)


def write_if_changed(path: Path, content: bytes) -> bool:
    """Write a file unless it has exactly this content; return whether it was written."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    write_atomically(path, content)
    return True


def clear_drafts(folder: Path) -> None:
    """Remove the drafts that a killed writer left in a folder and below."""
    for draft in folder.rglob(".*.draft"):
        draft.unlink()


def clear_locks(path: Path) -> None:
    """Remove the locks that a killed writer of a file left; no other process may be writing."""
    for lock in path.parent.glob(f"{path.name}.lock*"):
        lock.unlink(missing_ok=True)


@contextmanager
def refusing(path: Path, action: str) -> Iterator[None]:
    """Turn an ``OSError`` of a block into the error of ``refused``."""
    try:
        yield
    except OSError as error:
        raise refused(path, action, error) from error


def refused(path: Path, action: str, error: OSError) -> UsageError:
    """Build the error for an action, as ``write to``, that the system does not allow on a path."""
    return UsageError(f"cannot {action} {str(path)!r}: {error.strerror or error}")
