"""Numbers that depend on a dataset alone and take long to make: made once, then read from disk.

A file's name is a hash of all that its numbers follow from: the dataset with its parameters, what
is asked of it, the code of the package, and the machine's arithmetic. So nothing ever has to be
invalidated, and a number that was read is the number that would be made, bit for bit. Files hold
arrays and nothing else; one that is damaged counts as absent. The folder may be deleted any time.
"""

import contextlib
import hashlib
import json
import os
import platform
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
from torch import Tensor

from .machine import cpu_model
from .steady import steady

VARIABLE = "SCOREBENCH_CACHE"
"""Environment variable with the folder to use; empty for no cache."""

WORTH = 0.05
"""Seconds that something has to take to be stored."""

MOST = 1 << 30
"""Bytes that the folder may hold; what was not asked for longest goes first."""

_PACKAGE = __name__.split(".")[0]
_SUFFIX = ".safetensors"


def kept(
    what: str, dataset: Any, *details: float, make: Callable[[], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """What ``make`` gives, from the disk if it was made before.

    Args:
        what: Name of what is asked for.
        dataset: What it is about; hashed by its class and attributes.
        details: Further arguments that the numbers follow from.
        make: Makes them; called on one thread.
    """
    path = _path(what, dataset, details)
    found = _read(path) if path is not None else None
    if found is not None:
        return found
    began = time.perf_counter()
    with steady():
        made = {name: tensor.contiguous() for name, tensor in make().items()}
    if path is not None and time.perf_counter() - began >= WORTH:
        _write(path, made)
    return made


def folder() -> Path | None:
    """Where the files are; None if nothing is to be stored."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return Path(given) if given else None
    return Path(platformdirs.user_cache_dir(_PACKAGE, appauthor=False))


def _path(what: str, dataset: Any, details: tuple[float, ...]) -> Path | None:
    """The file of something; None where it cannot be told from other things."""
    home = folder()
    if home is None:
        return None
    try:
        code = _code(tuple(base.__module__ for base in type(dataset).__mro__[:-1]))
        identity = [what, *map(repr, details), code, _machine(), *_content(dataset)]
    except _UnhashableError:
        return None
    return home / (hashlib.sha256(json.dumps(identity).encode()).hexdigest() + _SUFFIX)


class _UnhashableError(Exception):
    """Something has no content that could be hashed."""


def _content(dataset: Any) -> list[str]:
    """The attributes of a dataset, those of its class among them."""
    kind = type(dataset)
    shared = {name: value for base in kind.__mro__[::-1] for name, value in vars(base).items()}
    plain = {name: value for name, value in shared.items() if isinstance(value, int | float | str)}
    own = plain | vars(dataset)
    return [kind.__qualname__, *(f"{name}={_hashed(own[name])}" for name in sorted(own))]


def _hashed(value: Any) -> str:
    if isinstance(value, Tensor):
        array = value.detach().cpu().contiguous().numpy()
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        return f"{array.dtype}{array.shape}{digest}"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({','.join(map(_hashed, value))})"
    raise _UnhashableError


@cache
def _code(modules: tuple[str, ...]) -> str:
    """Hash of the package's rooms that numbers of datasets come from, and of further modules."""
    root = Path(__file__).resolve().parent
    files = [*root.glob("*.py"), *(root.parent / "bench" / "metrics").glob("*.py")]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    for module in modules:
        if module.split(".")[0] in (_PACKAGE, "abc"):
            continue
        # A module of another package may depend on what is not seen here.
        source = getattr(sys.modules.get(module), "__source__", None)
        if source is None:
            raise _UnhashableError
        digest.update(source.encode())
    return digest.hexdigest()


@cache
def _machine() -> str:
    """What the last bits of results depend on, besides the code."""
    vectors = torch.backends.cpu.get_cpu_capability()
    versions = (platform.python_version(), torch.__version__, np.__version__)
    return json.dumps([platform.machine(), cpu_model(), vectors, *versions])


def _read(path: Path) -> dict[str, Tensor] | None:
    """The arrays of a file; None unless it is there and whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        checksum, content = data[:4], data[4:]
        if zlib.crc32(content).to_bytes(4, "little") != checksum:
            return None
        found = load(content)
        os.utime(path)
    except (OSError, ValueError, SafetensorError):
        return None
    return found


def _write(path: Path, made: Mapping[str, Tensor]) -> None:
    """Store arrays, whole or not at all; a disk that is full or read-only is no reason to fail."""
    from safetensors.torch import save

    content = save(dict(made))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, len(content))
        draft.write_bytes(zlib.crc32(content).to_bytes(4, "little") + content)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _make_room(home: Path, size: int) -> None:
    sizes = {path: path.stat() for path in home.glob(f"*{_SUFFIX}")}
    total = size + sum(stat.st_size for stat in sizes.values())
    for path in sorted(sizes, key=lambda one: sizes[one].st_mtime):
        if total <= MOST:
            break
        path.unlink(missing_ok=True)
        total -= sizes[path].st_size
