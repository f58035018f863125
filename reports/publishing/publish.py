"""A finished study as a folder to attach to a paper: results, data, licences, works cited."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from ...bench.streams import generator
from ...datasets.errors import UsageError
from ...studies.archive import export as export_archive
from ...studies.rundir.files import refusing
from ...studies.rundir.requirements import requirements
from ..exports import export
from ..figures.named import figures
from ..figures.style import encode
from ..merge import MERGED
from ..pages.markdown import markdown
from ..pages.protocol import missing, protocol
from ..progress import Steps
from ..ranking.verdict import answer, headline
from ..source import Source
from . import cards, metadata
from .citing import Credit, bibtex, credits_of, uncited

LICENSE = "CC-BY-4.0"
"""Licence of results and reference samples, unless the author chooses another."""

REFERENCE_POINTS = 10_000
"""Points of the reference sample of a dataset."""

_TABLES = ("board", "cells", "pairs")
_OF_SEARCHES = ("slices-", "parallel-")
_WIDTH = 6.75


def publish(
    source: Source,
    out: Path | None = None,
    *,
    license: str = LICENSE,  # noqa: A002 (the word of the command line)
    authors: Sequence[str] = (),
    data_license: str = "",
    progress: Steps = lambda *_: None,
) -> Path:
    """Write the folder; it is whole or absent.

    Args:
        source: A finished study.
        out: The folder, new or empty (default: ``publish`` in the run directory).
        license: SPDX identifier of the licence of results and reference samples.
        authors: Names for the metadata.
        data_license: Licence of files of points that the study uses.
        progress: Listener.

    Raises:
        UsageError: The study is not finished, or was merged from others; a plug-in file of its own
            states no licence or citation; points from a file have no licence; or the folder cannot
            be written.
    """
    target = source.directory / "publish" if out is None else out
    credited = credits_of(source.study)
    _require_publishable(source, credited, data_license)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{str(target)!r} is not empty: choose another --out, or remove it")
    about = _about(source, license, tuple(authors))
    with refusing(target, "write to"):
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".publish-", dir=target.parent))
        try:
            for path, content in _files(source, about, credited, data_license, progress).items():
                (draft / path).parent.mkdir(exist_ok=True)
                (draft / path).write_bytes(content)
            draft.chmod(0o755)
            if target.exists():
                target.rmdir()
            draft.replace(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return target


def _require_publishable(source: Source, credited: Sequence[Credit], data_license: str) -> None:
    name = str(source.directory)
    if lacking := missing(source):
        raise UsageError(f"{name!r} is not finished, so it cannot be published: {lacking[0]}")
    if (source.directory / MERGED).exists():
        raise UsageError(
            f"{name!r} was merged from other run directories, so it is no study that was run as "
            "planned: publish each of them"
        )
    for credit in credited:
        for constant, stated in (("license", credit.license), ("citation", credit.entries)):
            if credit.own and not stated:
                raise UsageError(
                    f"the {credit.kind} {credit.name!r} comes from a file that states no "
                    f'{constant}: add __{constant}__ = "..." to it and run the study again'
                )
    if source.study.data and not data_license:
        files = ", ".join(file.file for file in source.study.data)
        raise UsageError(
            f"{files} has no licence: say with --data-license under which it may be used"
        )


def _about(source: Source, license: str, authors: tuple[str, ...]) -> metadata.About:  # noqa: A002
    study = source.study
    return metadata.About(
        name=study.name,
        description=headline(source.evidence).rstrip(".") + ".",
        license=license,
        authors=authors,
        date=datetime.now(UTC).date().isoformat(),
        collection=" ".join(protocol(study, source.notes_on_data)),
        limits=cards.LIMITS,
    )


def _files(
    source: Source,
    about: metadata.About,
    credited: Sequence[Credit],
    data_license: str,
    progress: Steps,
) -> dict[str, bytes]:
    """Make the content of the folder by path."""
    study = source.study
    samples = {name: points for name, points in _references(source).items() if points is not None}
    frames = {"results.csv": (source.results, "One row per run; see docs/columns.md.")}
    frames |= {
        f"reference/{name}.csv": (points, f"Points of the dataset {name}, from its true density.")
        for name, points in samples.items()
    }
    files = {path: _csv(frame) for path, (frame, _) in frames.items()}
    files["results.csv"] = export(source, "results", "csv")
    files["results.parquet"] = export(source, "results", "parquet")
    for table in _TABLES:
        files[f"tables/{table}.csv"] = export(source, table, "csv")
        files[f"tables/{table}.tex"] = export(source, table, "latex")
    drawn = {n: draw for n, draw in figures(source).items() if not n.startswith(_OF_SEARCHES)}
    for number, (name, draw) in enumerate(drawn.items()):
        progress(f"figure {name}", number, len(drawn))
        files[f"figures/{name}.pdf"] = encode(draw(width=_WIDTH), "pdf")
    files |= _provenance(source)
    files["study.toml"] = study.to_toml().encode()
    files["references.bib"] = bibtex(study).encode()
    files["LICENSE.txt"] = cards.license_text(about, credited, data_license).encode()
    files["REPORT.md"] = markdown(source).encode()
    card = cards.data_card(source, about, sorted(samples), uncited(study), answer(source.evidence))
    files["README.md"] = card.encode()
    files["CHECKLIST.md"] = cards.checklist(source, about).encode()
    described = dict(files)
    files[metadata.CROISSANT] = metadata.croissant(about, described, frames).encode()
    files[metadata.CRATE] = metadata.crate(about, files).encode()
    return files


def _provenance(source: Source) -> dict[str, bytes]:
    """The archive that replays, and the environments of the runs."""
    with tempfile.TemporaryDirectory() as folder:
        archive = export_archive(source.directory, Path(folder) / "archive.zip").read_bytes()
    used = source.results["environment"].mode()
    modules = [plugin for plugin in source.study.plugins if isinstance(plugin, str)]
    pinned = requirements(source.environment[used[0]], modules) if len(used) else ""
    return {
        f"{source.study.name}.zip": archive,
        "environment.json": (json.dumps(source.environment, indent=1) + "\n").encode(),
        "requirements.txt": pinned.encode(),
    }


def _references(source: Source) -> dict[str, pd.DataFrame | None]:
    """Draw a frozen sample of each dataset; None where only a finite number of points exists."""
    frozen: dict[str, pd.DataFrame | None] = {}
    for entry in source.study.datasets:
        dataset = source.dataset(entry.label)
        if dataset is None or dataset.available is not None:
            frozen[entry.label] = None
            continue
        points = dataset.sample(REFERENCE_POINTS, generator(0, "published", entry.label)).numpy()
        names = [f"x{i}" for i in range(points.shape[1])]
        frozen[entry.label] = pd.DataFrame(points.astype(np.float32), columns=names)
    return frozen


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False, lineterminator="\n").encode()
