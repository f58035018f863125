"""Arrays that follow from a dataset and are slow to compute: computed once, then read from disk.

A file's name is a hash of everything that its arrays depend on: the dataset with its parameters,
the name and details of the value, the source of the code, and the machine's arithmetic; of a
plug-in's dataset also points that it draws, since its code may read data from elsewhere. What is
read is bitwise identical to what would be computed. Files hold nothing but arrays; a damaged file
counts as absent. The folder may be deleted at any time.
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
from functools import cache, partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from .machine import cpu_model
from .private import user_folder, write_atomically
from .steady import steady

VARIABLE = "SCOREBENCH_CACHE"
"""Environment variable with the folder to use; empty for no cache."""

MIN_SECONDS = 0.05
"""Values that take less than this to compute are not stored."""

MAX_BYTES = 1 << 30
"""Size limit of the folder; the least recently used files are deleted first."""

_PACKAGE = __name__.split(".")[0]
_SEED = 20_261_126
_SUFFIX = ".safetensors"


@runtime_checkable
class Drawable(Protocol):
    """What a fingerprint of a dataset needs; see ``Dataset``."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw points, shape (n, d)."""


def cached(
    name: str, dataset: object, *details: float, make: Callable[[], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Return the arrays that ``make`` computes, from disk if they were computed before.

    Args:
        name: Name of the value.
        dataset: The dataset it follows from; hashed by its class and attributes.
        details: Further arguments that it depends on.
        make: Computes the arrays, on one thread. A function of the module that defines the value:
            the source of all modules beside it is part of the hash, as that of this package is.
    """
    function = make.func if isinstance(make, partial) else make
    path = _path(name, dataset, details, function.__module__)
    stored = _read(path) if path is not None else None
    if stored is not None:
        return stored
    start = time.perf_counter()
    with steady():
        arrays = {key: tensor.contiguous() for key, tensor in make().items()}
    if path is not None and time.perf_counter() - start >= MIN_SECONDS:
        _write(path, arrays)
    return arrays


def drawn(dataset: "Drawable", points: int = 4096) -> str:
    """Fingerprint of points that a dataset draws and of log densities it has, in single precision.

    It shows data that a plug-in reads from a file or a variable of another module. The last bits
    of double precision, which depend on the machine, do not show.
    """
    with steady():
        try:
            x = dataset.sample(points, torch.Generator().manual_seed(_SEED))
            # Some can only be drawn from.
            log_prob = getattr(dataset, "log_prob", lambda _: x.new_zeros(0))
            values = torch.cat([x.flatten(), log_prob(x[:64])]).float()
            return hashlib.sha256(values.numpy().tobytes()).hexdigest()
        except (Exception, SystemExit) as error:
            return type(error).__name__


def folder() -> Path | None:
    """Return the folder of the files; None if the cache is turned off."""
    return user_folder("cache", VARIABLE)


def _path(name: str, dataset: object, details: tuple[float, ...], maker: str) -> Path | None:
    """The file of a value; None if the cache is off, or something cannot be hashed."""
    home = folder()
    if home is None:
        return None
    try:
        code = _code(maker, tuple(base.__module__ for base in type(dataset).__mro__[:-1]))
        identity = [name, *map(repr, details), code, _machine(), *_content(dataset)]
        if isinstance(dataset, Drawable) and not _is_own(type(dataset).__module__):
            identity.append(drawn(dataset))
    except _UnhashableError:
        return None
    return home / (hashlib.sha256(json.dumps(identity).encode()).hexdigest() + _SUFFIX)


class _UnhashableError(Exception):
    """A value has no content that can be hashed."""


def _content(dataset: object) -> list[str]:
    """The attributes of a dataset and of its class, hashed."""
    kind = type(dataset)
    shared = {name: value for base in kind.__mro__[::-1] for name, value in vars(base).items()}
    plain = {name: value for name, value in shared.items() if isinstance(value, int | float | str)}
    attributes = plain | vars(dataset)
    hashes = (f"{name}={_hashed(attributes[name])}" for name in sorted(attributes))
    return [kind.__qualname__, *hashes]


def _hashed(value: object) -> str:
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
def _code(maker: str, modules: tuple[str, ...]) -> str:
    """Hash of the sources: this package, that of the module ``maker``, the dataset's modules."""
    digest = hashlib.sha256()
    for path in sorted({*_beside(__name__), *_beside(maker)}):
        digest.update(path.read_bytes())
    for module in modules:
        if _is_own(module):
            continue
        # A module of another package may depend on further files; carried code is self-contained.
        source = getattr(sys.modules.get(module), "__source__", None)
        if source is None:
            raise _UnhashableError
        digest.update(source.encode())
    return digest.hexdigest()


def _is_own(module: str) -> bool:
    return module.split(".")[0] in (_PACKAGE, "abc")


def _beside(module: str) -> list[Path]:
    """The sources in the folder of a module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        raise _UnhashableError
    return list(Path(file).resolve().parent.glob("*.py"))


@cache
def _machine() -> str:
    """Everything outside the code that the last bits of results depend on."""
    vectors = torch.backends.cpu.get_cpu_capability()
    versions = (platform.python_version(), torch.__version__, np.__version__)
    return json.dumps([platform.machine(), cpu_model(), vectors, *versions])


def _read(path: Path) -> dict[str, Tensor] | None:
    """The arrays of a file; None if it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        data = path.read_bytes()
        checksum, content = data[:4], data[4:]
        if zlib.crc32(content).to_bytes(4, "little") != checksum:
            return None
        arrays = load(content)
        os.utime(path)
    except (OSError, ValueError, SafetensorError):
        return None
    return arrays


def _write(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Store arrays atomically; failures are ignored, such as a full or read-only disk."""
    from safetensors.torch import save

    content = save(dict(arrays))
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_room(path.parent, len(content))
        checked = zlib.crc32(content).to_bytes(4, "little") + content
        write_atomically(path, checked, durable=False)


def _make_room(home: Path, size: int) -> None:
    """Delete the least recently used files until ``size`` more bytes fit."""
    sizes = {path: path.stat() for path in home.glob(f"*{_SUFFIX}")}
    total = size + sum(stat.st_size for stat in sizes.values())
    for path in sorted(sizes, key=lambda file: sizes[file].st_mtime):
        if total <= MAX_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= sizes[path].st_size
