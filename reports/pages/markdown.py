"""``report.md``: sentences and tables of the report, for pull requests and plain text."""

import re

from ...datasets.errors import visible
from ..ranking.board_columns import board_columns
from ..ranking.cell_columns import cell_columns, failures, show_failures
from ..ranking.claims import planned_sentences
from ..ranking.friedman import rank_sentence
from ..ranking.pairs import pair_columns
from ..ranking.questions import question_columns, question_sentence, questions
from ..ranking.remarks import remarks
from ..ranking.sensitivity import edge_sentences
from ..ranking.split import split_columns, split_sentence, splits
from ..ranking.verdict import answer, headline, verdict_on
from ..source import Source
from .protocol import missing, protocol, run_again
from .tables import hidden_columns, inactive, table, to_markdown


def markdown(source: Source) -> str:
    """Write the report of a run directory without pictures; equal inputs give equal text."""
    evidence, study = source.evidence, source.study
    hidden = hidden_columns(evidence)
    parts = [
        f"# {study.name}",
        _listed([f"**{inactive(doubt)}**" for doubt in source.doubts]),
        f"**{inactive(headline(evidence))}.**",
        inactive(" ".join([answer(evidence), *remarks(evidence)])),
        _listed([*missing(source), *evidence.notes]),
        _listed(list(map(inactive, planned_sentences(evidence, study)))),
        "## Leaderboard",
        to_markdown(table(board_columns, evidence.contestants, hidden)),
        inactive(rank_sentence(evidence)),
        to_markdown(table(pair_columns, source.pairs)) if source.pairs else "",
        "## Best by budget",
        _listed(source.budgets) or "No search reached any of the budgets.",
    ]
    for dataset in evidence.datasets:
        cells = to_markdown(table(cell_columns, evidence.on(dataset), hidden))
        parts += [f"## {dataset}", inactive(verdict_on(evidence, dataset)), cells]
        if asked := questions(evidence, dataset):
            parts.append(inactive(question_sentence(asked)))
            parts.append(to_markdown(table(question_columns, asked)))
        if errors := splits(evidence, dataset):
            parts += [inactive(split_sentence(errors)), to_markdown(table(split_columns, errors))]
    parts += [
        "## Sensitivity",
        _listed(edge_sentences(source.sensitivity))
        or "No winning value lies at the edge of its range.",
        "## Failures",
        f"Failed runs: {show_failures(failures(list(evidence.cells)))}.",
        _listed([f"Run again after a failure: {sentence}" for sentence in run_again(source)]),
        "## Protocol",
        *map(inactive, protocol(study, source.notes_on_data)),
        _fenced(study.without_content.to_toml()),
        "To run every ranked and reference row again and compare: `scorebench replay . --all`.",
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {inactive(sentence)}" for sentence in sentences)


def _fenced(toml: str) -> str:
    """Put TOML, which may contain code with fences, into a longer fence."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", toml)), default=0))
    return f"{fence}toml\n{visible(toml)}{fence}"
