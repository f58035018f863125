"""Decide which code of others may be executed: that which a user has trusted on this machine.

Code that is not scorebench's own is a plug-in file, whose text a study contains, or a module that
a study names. Trust is given to its content: the name and a hash of the text, so changed code needs
trust anew. ``scorebench run`` trusts the files and modules that a study file of one's own names;
the code inside of a run directory or an archive is trusted by ``scorebench trust``.
"""

import contextlib
import hashlib
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..bench.plugins import PluginFile, PluginSource, executed_by_import
from ..datasets.errors import UsageError, unknown
from ..datasets.private import is_private, user_folder, write_atomically

VARIABLE = "SCOREBENCH_STATE"
"""Environment variable with the folder of the list of trusted code (default: the user's own)."""

SOMEWHERE = ".../study.toml"
"""Stands for a study file whose path is not known."""


class Trusted(NamedTuple):
    """Code that may be executed.

    Attributes:
        digest: Hash of its name and text.
        name: Name of its file or module; empty in lists of earlier versions.
    """

    digest: str
    name: str


# Code that this process trusts, by digest.
_trusted: dict[str, Trusted] = {}


def trust(code: Iterable[PluginSource]) -> list[Trusted]:
    """Allow code to be executed, now and later; return it.

    If the list cannot be kept on this machine, the code is trusted in this process only.

    Raises:
        UsageError: There is no such module.
    """
    given = {item.digest: item for item in map(identified, code)}
    _trusted.update(given)
    stored = _stored()
    if not given.keys() <= stored.keys():
        with contextlib.suppress(OSError):
            _close_to_others(_file().parent)
            _store(stored | given)
    return list(given.values())


def untrusted(code: Iterable[PluginSource]) -> list[str]:
    """List the names of the code that is not trusted on this machine; nothing is imported."""
    known: dict[str, Trusted] | None = None
    names = []
    for source in code:
        try:
            item = identified(source)
        except UsageError:
            # A module that is not installed.
            names.append(str(source))
            continue
        if item.digest not in _trusted:
            known = _stored() if known is None else known
            if item.digest not in known:
                names.append(item.name)
    return names


def trusted_of(code: Iterable[PluginSource]) -> list[Trusted]:
    """Return what of some code is trusted on this machine; nothing is imported."""
    return [identified(source) for source in code if not untrusted([source])]


def require_trust(code: Iterable[PluginSource], source: str = SOMEWHERE) -> None:
    """Raise ``UsageError`` if code of a study, archive or run directory is not trusted here."""
    code = list(code)
    if names := untrusted(code):
        # Says so if a module is not installed.
        for item in code:
            identified(item)
        place = source if source == SOMEWHERE else shlex.quote(source)
        raise UsageError(
            f"the study contains code not yet trusted on this machine ({', '.join(names)}): read "
            f"it with `scorebench show {place}`, then allow it with `scorebench trust {place}`"
        )


def trusted() -> list[Trusted]:
    """List the code that is trusted on this machine, by name."""
    return sorted(_stored().values(), key=lambda item: (item.name, item.digest))


def distrust(name: str) -> list[Trusted]:
    """Take trust back from the code with this name, or with this start of its digest; return it.

    Raises:
        UsageError: No such code is trusted, or the list cannot be changed.
    """
    stored = _stored()
    gone = [
        item
        for item in stored.values()
        if name == item.name or (len(name) >= 8 and item.digest.startswith(name))
    ]
    if not gone:
        raise unknown("trusted code", name, {item.name or item.digest for item in stored.values()})
    kept = {digest: item for digest, item in stored.items() if item not in gone}
    try:
        _store(kept)
    except OSError as error:
        raise UsageError(f"cannot change {str(_file())!r}: {error.strerror}") from error
    for item in gone:
        _trusted.pop(item.digest, None)
    return gone


def identified(source: PluginSource) -> Trusted:
    """Hash the name and the text of code.

    Raises:
        UsageError: There is no such module.
    """
    if isinstance(source, PluginFile):
        name, text = source.file, source.code.encode("utf-8", "surrogatepass")
    else:
        name, text = source, executed_by_import(source)
    return Trusted(hashlib.sha256(f"{name}\n".encode() + text).hexdigest(), name)


def _stored() -> dict[str, Trusted]:
    """Read the list; it counts only if nobody else can have written it."""
    try:
        file = _file()
        if not is_private(file.parent):
            return {}
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return {}
    items = (Trusted(*line.split(" ", 1)) if " " in line else Trusted(line, "") for line in lines)
    return {item.digest: item for item in items}


def _close_to_others(folder: Path) -> None:
    """Make the folder of the list this user's only; a list that others could write has no items."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private(folder) and folder.lstat().st_uid == os.geteuid():
        folder.chmod(0o700)


def _store(items: dict[str, Trusted]) -> None:
    text = "".join(f"{item.digest} {item.name}".rstrip() + "\n" for item in items.values())
    write_atomically(_file(), text.encode())


def _file() -> Path:
    """Return the file of the list.

    Raises:
        OSError: The user has no folder for it.
    """
    folder = user_folder("state", VARIABLE)
    if folder is None:
        raise FileNotFoundError(f"there is no folder for it: set {VARIABLE}")
    return folder / "trusted"
