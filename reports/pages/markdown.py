"""``report.md``: the words and tables of the report, for a pull request or a plain reader."""

from ..ranking.board_columns import board_columns
from ..ranking.budget import budget_sentences, budgets
from ..ranking.cell_columns import cell_columns, failures, show_failures
from ..ranking.friedman import rank_sentence
from ..ranking.pairs import pair_columns, pairs
from ..ranking.sensitivity import edge_sentences, sensitivity
from ..ranking.split import split_columns, split_sentence, splits
from ..ranking.verdict import answer, remarks, verdict_on
from ..source import Source
from .protocol import missing, protocol
from .tables import table, to_markdown


def markdown(source: Source) -> str:
    """The report of a run directory without its pictures; equal inputs give equal text.

    Args:
        source: The directory, read.
    """
    evidence, study = source.evidence, source.study
    needless = ["sampler"] if len({c.sampler for c in evidence.contestants}) < 2 else []
    found = pairs(evidence)
    parts = [
        f"# {study.name}",
        f"**{answer(evidence)}**",
        " ".join(remarks(evidence)),
        _listed([*missing(source), *evidence.notes]),
        "## Leaderboard",
        to_markdown(table(board_columns, evidence.contestants, needless)),
        rank_sentence(evidence),
        to_markdown(table(pair_columns, found)) if found else "",
        "## Who is best on a budget",
        _listed(budget_sentences(evidence, budgets(evidence, source.independent)))
        or "No budget was reached by a search.",
    ]
    for dataset in evidence.datasets:
        cells = evidence.on(dataset)
        shown = to_markdown(table(cell_columns, cells, needless))
        parts += [f"## {dataset}", verdict_on(evidence, dataset), shown]
        if apart := splits(evidence, dataset):
            parts += [split_sentence(apart), to_markdown(table(split_columns, apart))]
    warnings = edge_sentences(sensitivity(study, evidence))
    parts += [
        "## Sensitivity",
        _listed(warnings) or "No winning value lies at the edge of its range.",
        "## Failures",
        f"Runs without a value: {show_failures(failures(list(evidence.cells)))}.",
        "## What was run",
        *protocol(study),
        f"```toml\n{study.to_toml()}```",
        "To train every confirmed configuration again and compare: `scorebench replay . --all`.",
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
