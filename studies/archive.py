"""Archives: a run directory as one ZIP file that another person can replay.

An archive holds the files of a run directory, a requirements file with the versions of all
packages, and a manifest. Equal run directories give equal archives, byte for byte: members are
stored in order, without dates, and without compression, which differs between versions of zlib.
"""

import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import mode

from ..datasets.errors import UsageError
from .engine import Engine
from .plan import Plan
from .progress import standing
from .results import frame, in_order, to_csv
from .rundir.arrays import check_stored
from .rundir.artifacts import FOLDERS
from .rundir.changes import tuned_cells
from .rundir.files import locked, refuse_links, refusing, write_output
from .rundir.read import (
    CODE,
    ENVIRONMENT,
    ROWS,
    STUDY,
    read_code,
    read_environments,
    read_rows,
    read_study,
)
from .rundir.requirements import requirements
from .rundir.strict import LARGEST, open_plain, parse_json
from .rundir.versions import ARCHIVE_FORMAT, FORMAT, FORMAT_FILE, too_new
from .specs.spec import StudySpec

MANIFEST = "manifest.json"
_NEEDED = (STUDY, FORMAT_FILE, ENVIRONMENT, ROWS)
_FILES = (*_NEEDED, CODE, "results.csv", "requirements.txt")
_STEM = "[A-Za-z0-9_]+(-[A-Za-z0-9_]+){2}(-r[1-9][0-9]*)?"
_ARTIFACT = re.compile(rf"({'|'.join(FOLDERS)})/({_STEM})\.(npz|safetensors)")
_MOST_MEMBERS = 40_000
_PIECE = 1 << 20


def export(
    directory: str | Path, out: str | Path | None = None, engine: Engine | None = None
) -> Path:
    """Write an archive of a run directory.

    It holds the study, its rows, models, samples, environments and requirements. Rows that do not
    count for the study are left out.

    Args:
        directory: A run directory.
        out: File to write, ending in ``.zip`` (default: ``<name of the directory>.zip``).
        engine: Provides names (default: the real one).

    Returns:
        Path of the archive.

    Raises:
        UsageError: The directory is not a run directory, holds no runs yet, or is being written to;
            or the archive cannot be written.
    """
    folder = Path(directory)
    target = Path(f"{folder.resolve().name}.zip") if out is None else Path(out)
    if target.suffix != ".zip":
        raise UsageError(f"the name of the archive {str(target)!r} must end in .zip")
    study = read_study(folder)
    # A directory that is not writable needs no lock, and cannot be locked.
    with locked(folder) if os.access(folder, os.W_OK) else nullcontext():
        members = _members(folder, study, engine or Engine())
    write_output(target, _pack(members))
    return target


def _members(folder: Path, study: StudySpec, engine: Engine) -> dict[str, bytes]:
    refuse_links(folder)
    plan = Plan(study, engine)
    rows = in_order(standing(plan, read_rows(folder)), plan)
    if not rows:
        raise UsageError(f"{str(folder)!r} holds no runs yet: there is nothing to export")
    used = sorted(row.environment for row in rows)
    most_used = mode(used)
    stored = read_environments(folder).items()
    environments = {name: description for name, description in stored if name in used}
    modules = [plugin for plugin in study.plugins if isinstance(plugin, str)]
    members = {
        STUDY: study.to_toml().encode(),
        FORMAT_FILE: _json({"format": FORMAT}),
        ENVIRONMENT: _json(environments),
        CODE: _json(read_code(folder)),
        ROWS: "".join(f"{row.to_json()}\n" for row in rows).encode(),
        "results.csv": to_csv(frame(rows, plan)).encode(),
        "requirements.txt": requirements(environments[most_used], modules).encode(),
    }
    stems = {row.slot.cell.stem for row in rows if row.slot.phase == "confirm"}
    for kind in FOLDERS:
        for path in sorted((folder / kind).glob("*")):
            if path.stem in stems and _ARTIFACT.fullmatch(f"{kind}/{path.name}"):
                members[f"{kind}/{path.name}"] = path.read_bytes()
    return members


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _pack(members: dict[str, bytes]) -> bytes:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = _json({"archive": ARCHIVE_FORMAT, "files": digests})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [(MANIFEST, manifest), *sorted(members.items())]:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def unpack(archive: str | Path, folder: Path) -> Path:
    """Unpack an archive that ``export`` wrote into an empty folder: a run directory.

    Archives are not trusted: only members with expected names, of cells of its study, are written,
    never outside of the folder; none can be larger than the archive, since nothing in it is
    compressed; and each must have the hash that the manifest gives. Nothing in an archive is
    executed or unpickled.

    Raises:
        UsageError: The file is not an archive, is damaged, or is of a newer format.
    """
    path = Path(archive)
    try:
        with refusing(path, "unpack"), open_plain(path) as data, zipfile.ZipFile(data) as file:
            digests = _checked(file, path)
            for name, digest in digests.items():
                _write(file, name, digest, folder, path)
    except UsageError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise UsageError(f"{str(path)!r} is not an archive of a study: {error}") from error
    try:
        _check_cells(folder, digests, path)
    except UsageError as error:
        # The user knows of the archive only.
        raise UsageError(str(error).replace(str(folder), str(path))) from error
    return folder


@contextmanager
def unpacked(source: Path) -> Iterator[Path]:
    """Yield a run directory: the given one, or an archive unpacked into a private folder.

    Raises:
        UsageError: The file is not an archive; see ``unpack``.
    """
    if not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="scorebench-") as temporary:
        yield unpack(source, Path(temporary))


def digest_of(archive: Path) -> str:
    """Compute the SHA-256 of a file."""
    with refusing(archive, "read"), open_plain(archive) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(file: zipfile.ZipFile, path: Path) -> dict[str, str]:
    """Check the table of an archive; return the hash of each member; raises as ``unpack``."""
    entries = file.infolist()
    try:
        check_stored(entries, path.stat().st_size, _MOST_MEMBERS)
    except ValueError as error:
        raise _foreign(path, str(error)) from error
    names = {entry.filename: entry for entry in entries}
    for name in names:
        if name not in (MANIFEST, *_FILES) and not _ARTIFACT.fullmatch(name):
            raise _foreign(path, f"it holds {name[:80]!r}")
    if MANIFEST not in names:
        raise _foreign(path, f"there is no {MANIFEST} in it")
    if names[MANIFEST].file_size > LARGEST:
        raise _foreign(path, f"its {MANIFEST} has {names[MANIFEST].file_size:,} bytes")
    digests = _manifest(file.read(MANIFEST), path)
    for name in (*_NEEDED, *digests):
        if name not in names:
            raise UsageError(f"{str(path)!r} is damaged: {name[:80]} is missing in it")
    if set(digests) != set(names) - {MANIFEST}:
        raise UsageError(f"{str(path)!r} is damaged: its manifest is incomplete")
    return digests


def _write(file: zipfile.ZipFile, name: str, digest: str, folder: Path, path: Path) -> None:
    """Unpack one member piece by piece, and check its hash."""
    target, found = folder / name, hashlib.sha256()
    target.parent.mkdir(exist_ok=True)
    with file.open(name) as member, target.open("xb") as out:
        while piece := member.read(_PIECE):
            found.update(piece)
            out.write(piece)
    if found.hexdigest() != digest:
        raise UsageError(f"{str(path)!r} is damaged: {name} in it was changed")


def _check_cells(folder: Path, names: Iterable[str], path: Path) -> None:
    """Refuse artifacts of cells that the study does not have."""
    stems = {cell.stem for cell in tuned_cells(read_study(folder))}
    for name in names:
        match = _ARTIFACT.fullmatch(name)
        if match and match.group(2) not in stems:
            raise _foreign(path, f"it holds {name[:80]!r}, which is of no cell of its study")


def _manifest(text: bytes, path: Path) -> dict[str, str]:
    try:
        manifest = parse_json(text)
        version, digests = manifest["archive"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(path)!r} is damaged: its {MANIFEST} cannot be read") from error
    if type(version) is not int or version > ARCHIVE_FORMAT:
        raise too_new(path, version, ARCHIVE_FORMAT)
    return digests


def _foreign(path: Path, why: str) -> UsageError:
    return UsageError(f"{str(path)!r} is not an archive that `scorebench export` wrote: {why}")
