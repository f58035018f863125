"""A public board as a folder of pages: no server, no network, links that hold in any subfolder."""

import hashlib
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..bench.plugins import PluginFile, registries
from ..datasets.errors import UsageError, visible
from ..studies.rundir.files import refusing
from ..studies.specs.entries import Entry
from .boards import Board, Submission, boards, load_entries
from .exports import written
from .pages.pictures import overview_pictures
from .pages.protocol import protocol
from .pages.render import render
from .pages.tables import ShownTable, hidden_columns, table
from .ranking.board_columns import board_columns
from .ranking.cell_columns import cell_columns
from .ranking.cell_results import CellResults
from .ranking.evidence import Contestant
from .ranking.leaderboard import board_frame
from .ranking.pairs import pair_columns, pairs
from .ranking.verdict import answer, headline, verdict_on

_MARK = "made-by-scorebench"
SIGNERS = "signers"
"""File of a site: who may sign outcomes."""


def write_site(
    sources: Sequence[str | Path],
    out: str | Path,
    proofs: str | Path = "proofs",
    title: str = "Leaderboards",
    signers: str | Path | None = None,
) -> Path:
    """Write the site of entries; equal entries and outcomes give equal files.

    Args:
        sources: Run directories, archives, or folders of archives.
        out: Folder to write: a new one, or one that this function wrote, which is replaced.
        proofs: Folder with the outcomes of ``verify``; entries without one say so.
        title: Title of its first page.
        signers: List of allowed signers of outcomes, in the format of ``ssh-keygen``; it becomes
            part of the site.

    Returns:
        Its first page.

    Raises:
        UsageError: As ``load_entries``; or the folder contains other files, or cannot be written.
    """
    folder = Path(out)
    there = [*folder.iterdir()] if folder.is_dir() else [folder] * folder.exists()
    if folder.is_symlink() or (there and not (folder / _MARK).is_file()):
        raise UsageError(f"{str(folder)!r} contains other files: give a new folder")
    allowed, listed = None, {}
    if signers is not None:
        allowed = Path(signers)
        with refusing(allowed, "read"):
            listed[SIGNERS] = allowed.read_bytes()
    entries = load_entries([Path(source) for source in sources], Path(proofs), allowed)
    files = _files(boards(entries), title) | listed
    draft = folder.absolute().with_name(f".{secrets.token_hex(8)}.draft")
    with refusing(folder, "write"):
        try:
            for name, content in files.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(content)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder / "index.html"


def _files(found: Sequence[Board], title: str) -> dict[str, bytes]:
    """Make every file, by its path in the site."""
    entries = [entry for board in found for entry in board.entries]
    methods = sorted({label for entry in entries for label in entry.methods})
    datasets = sorted({entry.label for board in found for entry in board.study.datasets})

    def page(kind: str, heading: str, **values: Any) -> bytes:
        up = "" if kind == "index" else "../"
        given = {**_WORDS, "kind": kind if up else "scorebench", "heading": heading, **values}
        return render(f"site_{kind}.html.j2", title=title, up=up, **given).encode()

    records = [entry.record for entry in entries if entry.ranked and entry.record]
    counts = len(records), sum(bool(record.signer) for record in records)
    values = {"boards": found, "found": entries, "methods": methods, "datasets": datasets}
    files = {_MARK: b"", "index.html": page("index", title, counts=counts, **values)}
    for board in found:
        heading = f"{board.name}: {_headline(board)}"
        files[f"boards/{board.name}.html"] = page("board", heading, board=board, **_ranking(board))
        if board.evidence is not None:
            csv = written(board_frame(board.evidence), "csv")
            files[f"boards/{board.name}.csv"] = csv.encode()
        for entry in board.entries:
            shown = page("entry", entry.name, board=board, entry=entry, **_of_entry(entry))
            files[f"entries/{entry.name}.html"] = shown
            files[f"entries/{entry.name}.zip"] = entry.content
            if entry.record is not None:
                files[f"entries/{entry.name}.proof.json"] = entry.record.content
                if entry.record.signer:
                    files[f"entries/{entry.name}.proof.json.sig"] = entry.record.signature
    for label in methods:
        files[f"methods/{label}.html"] = page("method", label, parts=_of_method(found, label))
    for label in datasets:
        parts = [b for b in found if b.evidence is not None and label in b.evidence.datasets]
        files[f"datasets/{label}.html"] = page("dataset", label, parts=parts)
    return files


def _ranking(board: Board) -> dict[str, object]:
    words, evidence = {"protocol": protocol(board.study)}, board.evidence
    if evidence is None:
        return dict(words)
    return {
        **words,
        "overview": overview_pictures(evidence),
        "ranking": table(board_columns, evidence.contestants, hidden_columns(evidence)),
        "pairs": table(pair_columns, pairs(evidence)),
    }


def _of_entry(entry: Submission) -> dict[str, object]:
    outcome, found = entry.outcome, list(entry.problems)
    if outcome is not None:
        found += [*outcome.problems, *(f"Not checked: {text}" for text in outcome.unchecked)]
    return {
        "outcome": outcome,
        "signer": entry.record.signer if entry.record else "",
        "warnings": list(dict.fromkeys(map(visible, [*found, *entry.notes]))),
        "digest": hashlib.sha256(entry.content).hexdigest(),
        "codes": [
            (item.file, visible(item.code))
            if isinstance(item, PluginFile)
            else (item, "A module that is not in the archive.")
            for item in entry.study.code
        ],
    }


def _of_method(
    found: Sequence[Board], label: str
) -> list[tuple[Board, list[Submission], list[CellResults]]]:
    """Return each board of a method, its entries there, and its ranked cells."""
    parts = []
    for board in found:
        own = [entry for entry in board.entries if label in entry.methods]
        names = {board.labels[entry.name, label] for entry in own}
        cells = [] if board.evidence is None else board.evidence.cells
        if own:
            parts.append((board, own, [cell for cell in cells if cell.method in names]))
    return parts


def _cells(cells: Sequence[CellResults], labelled: Sequence[str] = ()) -> ShownTable:
    several = len({cell.sampler for cell in cells}) > 1
    return table(cell_columns, cells, [] if several else ["sampler"], labelled)


def _proofs(board: Board, rows: Sequence[CellResults] | Sequence[Contestant]) -> list[str]:
    return [board.owner(row.method).proof for row in rows]


def _method_pages(board: Board) -> dict[str, str]:
    return {shown: f"../methods/{own}.html" for (_, own), shown in board.labels.items()}


def _headline(board: Board) -> str:
    return "no entry is ranked" if board.evidence is None else headline(board.evidence)


def _about(method: Entry) -> str:
    """Describe a method, with its fixed and searched settings."""
    settings = ", ".join(f"{name} = {value}" for name, value in method.settings.items())
    what = _summary("method", method.name) or f"{method.name}, code of the entry"
    return what.rstrip(".") + (f" ({settings})" if settings else "")


def _summary(kind: str, name: str) -> str:
    """Describe a built-in plug-in; code of entries is not imported."""
    known = registries()[kind].builtin
    return known[name].summary if name in known else ""


_WORDS = {
    "headline": _headline, "answer": answer, "verdict_on": verdict_on, "cells": _cells,
    "proofs": _proofs, "method_pages": _method_pages, "about": _about, "summary": _summary,
    "toml": lambda entry: visible(entry.study.without_content.to_toml()),
}  # fmt: skip
"""Functions for the templates."""
