"""A public board as a folder of pages: no server, no network, links that hold in any subfolder."""

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..bench.plugins import PluginFile, registries
from ..datasets.errors import UsageError, visible
from ..studies.rundir.files import refusing
from ..studies.specs.entries import Entry as Leaf
from . import text
from .boards import Board, Entry, boards, load_entries
from .exports import written
from .pages.pictures import overview_pictures
from .pages.protocol import protocol
from .pages.render import render
from .pages.tables import Field, ShownTable, hidden_columns, table
from .ranking.board_columns import board_columns
from .ranking.cell_columns import cell_columns
from .ranking.leaderboard import board_frame
from .ranking.pairs import pair_columns, pairs
from .ranking.verdict import answer, headline, verdict_on

_MARK = "made-by-scorebench"
_MOST_WARNINGS = 8

Links = dict[str, str]


@dataclass(frozen=True)
class Section:
    """A part of a page: sentences, a table whose names of rows are links, texts and files."""

    title: str
    sentences: Sequence[str] = ()
    table: ShownTable | None = None
    caption: str = ""
    links: Links = field(default_factory=dict)
    texts: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, str]] = ()


def write_site(
    sources: Sequence[str | Path],
    out: str | Path,
    proofs: str | Path = "proofs",
    title: str = "Leaderboards",
) -> Path:
    """Write the site of entries; equal entries and outcomes give equal files.

    Args:
        sources: Run directories, archives, or folders of archives.
        out: Folder to write: a new one, or one that this function wrote, which is replaced.
        proofs: Folder with the outcomes of ``verify``; entries without one say so.
        title: Title of its first page.

    Returns:
        Its first page.

    Raises:
        UsageError: As ``load_entries``; or the folder holds something else, or cannot be written.
    """
    folder = Path(out)
    if folder.is_symlink() or (
        folder.exists() and not (folder / _MARK).is_file() and any(_inside(folder))
    ):
        raise UsageError(f"{str(folder)!r} holds other things: give a new folder")
    files = _Site(boards(load_entries([Path(source) for source in sources], Path(proofs))), title)
    draft = folder.absolute().with_name(f".{secrets.token_hex(8)}.draft")
    with refusing(folder, "write"):
        try:
            for name, content in files.all().items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(content)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder / "index.html"


def _inside(folder: Path) -> Sequence[Path]:
    return list(folder.iterdir()) if folder.is_dir() else [folder]


class _Site:
    """The files of a site, by their paths in it."""

    def __init__(self, boards: Sequence[Board], title: str) -> None:
        self._boards, self._title = boards, title
        self._entries = [entry for board in boards for entry in board.entries]
        self._count = text.plural(len(self._entries), "entry").replace("entrys", "entries")

    def all(self) -> dict[str, bytes]:
        """Make every file."""
        files = {_MARK: b"", "index.html": self._index()}
        for board in self._boards:
            files[f"boards/{board.name}.html"] = self._board(board)
            if board.evidence is not None:
                csv = written(board_frame(board.evidence), "csv")
                files[f"boards/{board.name}.csv"] = csv.encode()
            for entry in board.entries:
                files[f"entries/{entry.name}.html"] = self._entry(board, entry)
                files[f"entries/{entry.name}.zip"] = entry.content
                if entry.outcome is not None:
                    files[f"entries/{entry.name}.proof.json"] = entry.outcome.to_json().encode()
        for label in self._methods:
            files[f"methods/{label}.html"] = self._method(label)
        for label in self._datasets:
            files[f"datasets/{label}.html"] = self._dataset(label)
        return files

    @property
    def _methods(self) -> list[str]:
        return sorted({label for board in self._boards for _, label in board.labels})

    @property
    def _datasets(self) -> list[str]:
        studies = [board.study for board in self._boards]
        return sorted({entry.label for study in studies for entry in study.datasets})

    def _page(self, eyebrow: str, heading: str, said: str, sections: Sequence[Section],
              up: str = "../", **values: object) -> bytes:  # fmt: skip
        given = {"warnings": (), "overview": None, **values}
        trail = [(self._title, f"{up}index.html")] if up else []
        return render(
            "site.html.j2", title=f"{heading}: {self._title}" if up else heading, trail=trail,
            eyebrow=eyebrow, heading=heading, answer=said, sections=sections, count=self._count,
            **given,
        ).encode()  # fmt: skip

    def _index(self) -> bytes:
        verified = sum(entry.ranked and entry.outcome is not None for entry in self._entries)
        names = [
            [
                board.name,
                _answer(board),
                ", ".join(entry.label for entry in board.study.datasets),
                str(len(board.entries)),
            ]
            for board in self._boards
        ]
        sections = [
            Section("Boards", table=plain(["study", "answer", "datasets", "entries"], names),
                    caption="Entries of a board differ in their methods only",
                    links={board.name: f"boards/{board.name}.html" for board in self._boards}),
            self._entries_of(self._boards, ""),
            Section("Methods", files=[(label, f"methods/{label}.html") for label in self._methods]),
            Section("Datasets", files=[(d, f"datasets/{d}.html") for d in self._datasets]),
            Section("What a proof says", _ABOUT),
        ]  # fmt: skip
        said = f"{self._count}, {verified} of them verified by replay."
        return self._page("scorebench · public board", self._title, said, sections, up="")

    def _entries_of(self, boards: Sequence[Board], up: str) -> Section:
        rows = [
            [
                entry.name,
                entry.proof,
                entry.outcome.date if entry.outcome else "",
                ", ".join(board.labels[entry.name, m.label] for m in entry.study.methods),
                ", ".join(entry.code) or "none",
            ]
            for board in boards
            for entry in board.entries
        ]
        links = {entry.name: f"{up}entries/{entry.name}.html" for entry in self._entries}
        shown = plain(["entry", "proof", "verified on", "methods", "own code"], rows)
        caption = "Entries; what is refuted or refused is not ranked"
        return Section("Entries", table=shown, caption=caption, links=links)

    def _board(self, board: Board) -> bytes:
        evidence, study = board.evidence, board.study
        sections = []
        if evidence is not None:
            links = {label: f"../methods/{own}.html" for (_, own), label in board.labels.items()}
            hidden = hidden_columns(evidence)
            shown = table(board_columns, evidence.contestants, hidden)
            proofs = [board.owner(row.method)[0].proof for row in evidence.contestants]
            sections.append(
                Section("Leaderboard", table=_with(shown, "proof", proofs), links=links,
                        caption="Across all datasets; ranked on confirmation runs only",
                        files=[("This table as CSV", f"{board.name}.csv")])
            )  # fmt: skip
            if found := pairs(evidence):
                caption = "Pairs of methods across all datasets"
                sections.append(Section("Pairs", (), table(pair_columns, found), caption))
            sections += [
                Section(dataset, [verdict_on(evidence, dataset)], links=links,
                        table=table(cell_columns, evidence.on(dataset), hidden),
                        caption=f"{study.objective.upper()} on {dataset}",
                        files=[(f"All boards with {dataset}", f"../datasets/{dataset}.html")])
                for dataset in evidence.datasets
            ]  # fmt: skip
        sections += [
            self._entries_of([board], "../"),
            Section(
                "Protocol",
                protocol(study),
                texts=[_toml("Study file of the first entry", board.entries[0])],
            ),
        ]
        said = "No entry is ranked." if evidence is None else answer(evidence)
        overview = None if evidence is None else overview_pictures(evidence)
        return self._page("board", f"{board.name}: {_answer(board)}", said, sections,
                          overview=overview)  # fmt: skip

    def _entry(self, board: Board, entry: Entry) -> bytes:
        outcome = entry.outcome
        command = f"scorebench verify {entry.name}.zip"
        said = ["Nobody has replayed it yet."]
        files = [("The archive", f"{entry.name}.zip")]
        runs: list[tuple[str, str]] = []
        if outcome is not None:
            said = outcome.sentences
            command += f" --seed {outcome.seed} --rows {outcome.asked}"
            files.append(("The outcome as JSON", f"{entry.name}.proof.json"))
            lines = "\n".join(f"{verdict}: {row}" for row, verdict in outcome.runs.items())
            runs = [("Rows that were run again", lines)]
        again = [f"SHA-256 of the archive: {entry.digest}.", f"To do it again: {command}"]
        code = [
            (f"Code of its own: {item.file}", visible(item.code))
            if isinstance(item, PluginFile)
            else (f"Code of its own: module {item}", "Not in the archive.")
            for item in entry.study.code
        ]
        sections = [
            Section("Proof", [*said, *again], texts=runs, files=files),
            Section("Methods", table=plain(["method", "what"], _abouts(entry)),
                    caption="Methods of the entry and what its study sets or searches of each",
                    links={m.label: f"../methods/{m.label}.html" for m in entry.study.methods}),
            Section("Study", texts=[*code, _toml("Study file", entry)],
                    files=[(f"Board {board.name}", f"../boards/{board.name}.html")]),
        ]  # fmt: skip
        found = () if outcome is None else (*outcome.problems, *outcome.unchecked)
        warnings = list(dict.fromkeys([*entry.problems, *found, *entry.notes]))
        more = len(warnings) - _MOST_WARNINGS
        warnings = [*warnings[:_MOST_WARNINGS], *([f"And {more} more."] if more > 0 else [])]
        return self._page("entry", entry.name, f"{entry.proof}.", sections, warnings=warnings)

    def _method(self, label: str) -> bytes:
        sections = []
        for board in self._boards:
            names = {shown for (_, own), shown in board.labels.items() if own == label}
            evidence = board.evidence
            if not names:
                continue
            owners = [board.owner(name)[0] for name in sorted(names)]
            rows = [[e.name, e.proof, dict(_abouts(e))[label]] for e in owners]
            cells = [] if evidence is None else [c for c in evidence.cells if c.method in names]
            sections += [
                Section(f"Entries on the board {board.name}", (),
                        plain(["entry", "proof", "what its study runs"], rows), "Entries",
                        {e.name: f"../entries/{e.name}.html" for e in owners},
                        files=[(f"Board {board.name}", f"../boards/{board.name}.html")]),
                Section("Results", (), table(cell_columns, cells, ["sampler"], ["dataset"]),
                        f"{label} on each dataset"),
            ]  # fmt: skip
        return self._page("method", label, _summary("method", label), sections)

    def _dataset(self, label: str) -> bytes:
        sections = []
        for board in self._boards:
            evidence = board.evidence
            if evidence is not None and label in evidence.datasets:
                links = {
                    shown: f"../methods/{own}.html" for (_, own), shown in board.labels.items()
                }
                sections.append(
                    Section(board.name, [verdict_on(evidence, label)],
                            table(cell_columns, evidence.on(label), hidden_columns(evidence)),
                            f"{board.study.objective.upper()} on {label}", links,
                            files=[(f"Board {board.name}", f"../boards/{board.name}.html")])
                )  # fmt: skip
        return self._page("dataset", label, _summary("dataset", label), sections)


_ABOUT = (
    "An entry is an archive of a whole study. To verify it, scorebench draws some of its ranked "
    "rows at random, with a seed that nobody knew before, trains and scores them again, and does "
    "the same once for the winner of every cell. On the same kind of processor all numbers are "
    "identical to the last bit; on another they agree within a tolerance that comes from fresh "
    "samples of the truth.",
    "Not verified means that nobody has tried. Refuted entries are listed and not ranked. A proof "
    "does not say that a study is fair or a method new, and rows that were not drawn are not "
    "proved: the page of an entry says with what chance a doctored row would have been met. Code "
    "that an entry brings could answer in place of scorebench: it is shown, so read it.",
)


def plain(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> ShownTable:
    """Make a table of texts."""
    fields = tuple(tuple(Field(entry, entry) for entry in row) for row in rows)
    return ShownTable(tuple(headers), ("",) * len(headers), (False,) * len(headers), fields)


def _with(shown: ShownTable, header: str, entries: Sequence[str]) -> ShownTable:
    """Add a column of texts after the first two of a table: rank and method."""
    rows = zip(shown.rows, entries, strict=True)
    return ShownTable(
        (*shown.headers[:2], header, *shown.headers[2:]),
        (*shown.helps[:2], "What is proven of its entry.", *shown.helps[2:]),
        (*shown.numeric[:2], False, *shown.numeric[2:]),
        tuple((*row[:2], Field(entry, entry), *row[2:]) for row, entry in rows),
    )


def _answer(board: Board) -> str:
    return "no entry is ranked" if board.evidence is None else headline(board.evidence)


def _toml(name: str, entry: Entry) -> tuple[str, str]:
    return name, visible(entry.study.without_content.to_toml())


def _abouts(entry: Entry) -> list[list[str]]:
    """Say of each method of an entry what it is, and what its study sets or searches of it."""
    return [[method.label, _about(method)] for method in entry.study.methods]


def _about(method: Leaf) -> str:
    settings = ", ".join(f"{name} = {value}" for name, value in method.settings.items())
    what = _summary("method", method.name) or f"{method.name}, of its own code"
    return what.rstrip(".") + (f" ({settings})" if settings else "")


def _summary(kind: str, name: str) -> str:
    """Describe a built-in plug-in; code of entries is not imported."""
    known = registries()[kind].builtin
    return known[name].summary if name in known else ""
