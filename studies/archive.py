"""A run directory as one file that another person can replay: a ZIP archive of known content.

Its members are files of a run directory, so that an unpacked archive is one, a lock of the versions
of all packages, and a manifest. Equal run directories give equal archives, byte for byte: members
are stored without compression, which differs between versions of zlib, in order and without dates.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..datasets.errors import UsageError
from .engine import Engine
from .plan import Plan
from .progress import standing
from .results import frame, in_order
from .rundir.artifacts import FOLDERS
from .rundir.files import refused, write_atomically
from .rundir.read import (
    CODE,
    ENVIRONMENT,
    LOCK,
    ROWS,
    STUDY,
    read_code,
    read_environments,
    read_rows,
    read_study,
)
from .rundir.requirements import lock
from .rundir.rows import Row
from .rundir.versions import FILE, FORMAT
from .specs.spec import StudySpec

ARCHIVE = 1
"""The format of archives that is written."""

MANIFEST = "manifest.json"
_LABEL = "[A-Za-z0-9_]+"
_MEMBER = re.compile(
    rf"{STUDY}|{FILE}|{ENVIRONMENT}|{CODE}|{ROWS}|results\.csv|requirements\.txt|"
    rf"({'|'.join(FOLDERS)})/{_LABEL}-{_LABEL}-{_LABEL}\.(npz|safetensors)"
)
_NEEDED = (STUDY, FILE, ENVIRONMENT, ROWS)


def export(
    directory: str | Path, out: str | Path | None = None, engine: Engine | None = None
) -> Path:
    """Write one archive of a run directory: study, table, models, samples, environment, lock.

    Rows that were set aside, and those that the study does not stand on, stay out of it.

    Args:
        directory: A run directory.
        out: File to write, ending in ``.zip``; ``<name of the directory>.zip`` unless given.
        engine: Where names are found; the real one unless given.

    Returns:
        Path of the archive.

    Raises:
        UsageError: It is not a run directory, holds no runs yet, or is being written to; or the
            archive cannot be written.
    """
    folder = Path(directory)
    target = Path(f"{folder.resolve().name}.zip") if out is None else Path(out)
    if target.suffix != ".zip":
        raise UsageError(f"the archive {str(target)!r} should have a name that ends in .zip")
    study = read_study(folder)
    hold = FileLock(folder / LOCK, blocking=False)
    try:
        # A directory that cannot be written to cannot be changed on the way either.
        with suppress(PermissionError):
            hold.acquire()
        members = _members(folder, study, engine or Engine())
        write_atomically(target, _pack(members))
    except Timeout as error:
        raise UsageError(f"{str(folder)!r} is in use by another process: wait for it") from error
    except OSError as error:
        raise refused(target, "write", error) from error
    finally:
        hold.release()
    return target


def _members(folder: Path, study: StudySpec, engine: Engine) -> dict[str, bytes]:
    plan = Plan(study, engine)
    rows = in_order(standing(plan, read_rows(folder)), plan)
    if not rows:
        raise UsageError(f"{str(folder)!r} holds no runs yet: there is nothing to export")
    used = {row.environment for row in rows}
    known = {name: found for name, found in read_environments(folder).items() if name in used}
    modules = [plugin for plugin in study.plugins if isinstance(plugin, str)]
    members = {
        STUDY: study.to_toml().encode(),
        FILE: _json({"format": FORMAT}),
        ENVIRONMENT: _json(known),
        CODE: _json(read_code(folder)),
        ROWS: "".join(f"{row.to_json()}\n" for row in rows).encode(),
        "results.csv": frame(rows, plan).to_csv(index=False, lineterminator="\n").encode(),
        "requirements.txt": lock(known[_main(rows)], modules).encode(),
    }
    stems = {row.slot.cell.stem for row in rows if row.slot.phase == "confirm"}
    for kind in FOLDERS:
        for path in sorted((folder / kind).glob("*")):
            if path.stem in stems and _MEMBER.fullmatch(f"{kind}/{path.name}"):
                members[f"{kind}/{path.name}"] = path.read_bytes()
    return members


def _main(rows: Sequence[Row]) -> str:
    """The environment that most rows were made in."""
    names = [row.environment for row in rows]
    return max(sorted(set(names)), key=names.count)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _pack(members: dict[str, bytes]) -> bytes:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = _json({"archive": ARCHIVE, "files": digests})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [(MANIFEST, manifest), *sorted(members.items())]:
            about = zipfile.ZipInfo(name)
            about.create_system, about.external_attr = 3, 0o644 << 16
            archive.writestr(about, content)
    return buffer.getvalue()


def unpack(archive: str | Path, folder: Path) -> Path:
    """Unpack an archive into an empty folder, which becomes a run directory.

    Nothing of an archive is believed: only members with known names are written, never outside of
    the folder; none can be larger than the archive, since nothing in it is compressed; and each
    has to have the hash that the manifest gives. Nothing in it is executed or unpickled.

    Args:
        archive: What ``export`` wrote.
        folder: Where to; it exists and is empty.

    Raises:
        UsageError: It is no such archive, a newer one, or damaged.
    """
    path = Path(archive)
    try:
        with zipfile.ZipFile(path) as opened:
            members = _checked(opened, path)
            for name, content in members.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{str(path)!r} is not an archive of a study: {error}") from error
    except OSError as error:
        raise refused(path, "unpack", error) from error
    return folder


def _checked(opened: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    entries = opened.infolist()
    names = [entry.filename for entry in entries]
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise _foreign(path, f"{entry.filename!r} in it is compressed")
        if entry.filename != MANIFEST and not _MEMBER.fullmatch(entry.filename):
            raise _foreign(path, f"it holds {entry.filename[:80]!r}")
    if len(set(names)) < len(names):
        raise _foreign(path, "it holds one name twice")
    # Members that overlap could together be larger than the file.
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise _foreign(path, "its members are larger than itself")
    if MANIFEST not in names:
        raise _foreign(path, f"there is no {MANIFEST} in it")
    digests = _manifest(opened.read(MANIFEST), path)
    missing = [name for name in (*_NEEDED, *digests) if name not in names]
    if missing or set(digests) != set(names) - {MANIFEST}:
        raise UsageError(f"{str(path)!r} is damaged: {(missing or ['its manifest'])[0]} is amiss")
    members = {name: opened.read(name) for name in sorted(digests)}
    for name, content in members.items():
        if hashlib.sha256(content).hexdigest() != digests[name]:
            raise UsageError(f"{str(path)!r} is damaged: {name} in it was changed")
    return members


def _manifest(text: bytes, path: Path) -> dict[str, str]:
    try:
        found = json.loads(text)
        version, digests = found["archive"], dict(found["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(path)!r} is damaged: its {MANIFEST} cannot be read") from error
    if type(version) is not int or version > ARCHIVE:
        raise UsageError(
            f"{str(path)!r} is an archive of format {version}, and this version of scorebench "
            f"knows formats up to {ARCHIVE}: install a newer one"
        )
    return digests


def _foreign(path: Path, why: str) -> UsageError:
    return UsageError(f"{str(path)!r} is not an archive that `scorebench export` wrote: {why}")
