"""Files that survive a kill: whole or absent, or appended to line by line by one writer."""

import errno
import fcntl
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ...datasets.errors import UsageError
from ...datasets.private import write_atomically as write_atomically
from .strict import open_plain

LOCK = ".lock"
"""File that the writer of a directory locks; it names the process and its host."""

# Where a file system has no locks, the text of the file is one. Its holder touches it at every
# beat; one that has not done so for a while has ended.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_BEAT, _SILENCE = 1.0, 15.0


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make this process the only writer of a directory, which is created if it does not exist.

    Raises:
        UsageError: Another process is writing to it, it holds links, or it cannot be created or
            written to.
    """
    path = directory / LOCK
    with ExitStack() as held:
        with refusing(directory, "write to"):
            directory.mkdir(parents=True, exist_ok=True)
            refuse_links(directory)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            held.callback(os.close, file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _in_use(path) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                held.enter_context(_claimed(path, file))
            before = os.fstat(file)
            _sign(file)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(file, 0)
                # A study that has nothing to do leaves no trace.
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _sign(file: int) -> str:
    text = f"{os.getpid()}\n{platform.node()}\n"
    os.ftruncate(file, 0)
    os.pwrite(file, text.encode(), 0)
    return text


@contextmanager
def _claimed(path: Path, file: int) -> Iterator[None]:
    """Hold a file by its text, once its former holder has ended.

    Raises:
        UsageError: Its holder has not ended, or another process claims it too.
    """
    if os.fstat(file).st_size and not _has_ended(path):
        raise _in_use(path)
    text = _sign(file)
    time.sleep(_BEAT)
    if path.read_text(encoding="utf-8") != text:
        raise _in_use(path)
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _has_ended(path: Path) -> bool:
    """Whether the holder of a file has ended: a process of this host, or one that is silent."""
    pid, host = _holder(path)
    if host == platform.node() and pid.isdecimal():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):
            pass
    last, end = path.stat().st_mtime_ns, time.monotonic() + _SILENCE
    while time.monotonic() < end:
        time.sleep(_BEAT)
        # Opened anew, since networks answer from memory otherwise.
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime_ns != last:
                return False
    return True


def _holder(path: Path) -> tuple[str, str]:
    with suppress(OSError, ValueError):
        pid, host = path.read_text(encoding="utf-8").splitlines()[:2]
        return pid, host
    return "unknown", "unknown"


def _in_use(path: Path) -> UsageError:
    pid, host = _holder(path)
    return UsageError(
        f"{str(path.parent)!r} is in use by another process: wait for it, or use another "
        f"directory (process {pid} on host {host}, says {str(path)!r}; delete that file if the "
        "process has ended)"
    )


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
    return write_pieces_if_changed(path, lambda: [content])


def write_pieces_if_changed(path: Path, pieces: Callable[[], Iterable[bytes]]) -> bool:
    """Write a large file as ``write_if_changed`` does, piece by piece."""
    if path.exists() and holds(path, pieces()):
        return False
    draft = path.with_name(f".{secrets.token_hex(8)}.draft")
    try:
        with draft.open("xb") as file:
            file.writelines(pieces())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return True


def holds(path: Path, pieces: Iterable[bytes]) -> bool:
    """Whether a plain file has exactly this content.

    Raises:
        OSError: It cannot be read, or is not a plain file.
    """
    with open_plain(path) as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)


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
