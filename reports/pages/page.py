"""``report.html``: the whole report in one file that needs no network."""

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from .. import text
from ..ranking.board_columns import board_columns
from ..ranking.cell_columns import cell_columns
from ..ranking.cell_results import CellResults
from ..ranking.claims import planned_sentences
from ..ranking.contests import ALL, standings
from ..ranking.evidence import Evidence
from ..ranking.friedman import rank_sentence
from ..ranking.pairs import pair_columns
from ..ranking.questions import best_models, question_columns, question_sentence, questions
from ..ranking.remarks import remarks
from ..ranking.samplers import at_the_end, floor_frame, sampler_columns, sampler_sentences
from ..ranking.searchers import contest_sentences, searcher_columns
from ..ranking.sensitivity import FEWEST_TRIALS, edge_sentences
from ..ranking.split import split_columns, splits
from ..ranking.statistics import Array, estimate
from ..ranking.verdict import answer, headline, verdict_on
from ..source import Source
from .drawings import drawn_together
from .pictures import Plots, most_cells, overview_pictures
from .protocol import missing, protocol, run_again
from .render import render
from .tables import ShownTable, exactly, hidden_columns, table

if TYPE_CHECKING:
    from ..progress import Steps


def page(source: Source, progress: "Steps" = lambda *_: None) -> str:
    """Write the report of a run directory as HTML; equal inputs give equal text."""
    progress("ranking the contestants", 0, 0)
    evidence = source.evidence
    progress("analysing the searches", 0, 0)
    plots = Plots(source)
    # Pictures are asked for first: they may be drawn while the rest is computed.
    pictures = {dataset: _pictures(source, plots, dataset) for dataset in evidence.datasets}
    values: dict[str, object] = {
        "critical": plots.critical(),
        "samplers": _samplers(source, plots),
        "searchers": _searchers(source, plots),
    }
    progress("checking and drawing", 0, 0)
    with drawn_together(plots.drawings, progress):
        values |= {
            "study": source.study,
            "title": _title(evidence),
            "headline": headline(evidence),
            "answer": answer(evidence),
            "remarks": remarks(evidence),
            "doubts": source.doubts,
            "missing": missing(source),
            "notes": list(evidence.notes),
            "planned": planned_sentences(evidence, source.study),
            "overview": overview_pictures(evidence),
            "questions": table(question_columns, best_models(evidence), labelled=["dataset"]),
            "board": table(board_columns, evidence.contestants, hidden_columns(evidence)),
            "pairs": table(pair_columns, source.pairs),
            "rank_test": rank_sentence(evidence),
            # The section on samplers has their budgets.
            "budgets": source.budgets if source.samplers is None else [],
            "sensitivity": _importances(source.sensitivity),
            "warnings": edge_sentences(source.sensitivity),
            "fewest_trials": FEWEST_TRIALS,
            "parts": [_part(evidence, name) | shown for name, shown in pictures.items()],
            "failures": _failures(source),
            "run_again": run_again(source),
            "protocol": protocol(source.study, source.notes_on_data),
            "toml": source.study.without_content.to_toml(),
            "environment": [(name, list(_flat(item))) for name, item in source.environment.items()],
            "commands": _commands(evidence),
            "rows": len(source.results),
        }
    return render("report.html.j2", **values)


def _title(evidence: Evidence) -> str:
    methods = sorted({contestant.method for contestant in evidence.contestants})
    names = text.listed(methods) if len(methods) <= 6 else f"{len(methods)} methods"
    if evidence.nouns == "samplers":
        names = f"{names} by {len(evidence.contestants)} samplers"
    return f"{names} on {text.plural(len(evidence.datasets), 'dataset')}"


def _pictures(source: Source, plots: Plots, dataset: str) -> dict[str, object]:
    """Return the variables of the pictures of a dataset."""
    return {
        "gallery": plots.gallery(dataset),
        "most_cells": most_cells(source),
        "plots": plots.on(dataset),
        "slices": plots.slices(dataset),
    }


def _part(evidence: Evidence, dataset: str) -> dict[str, object]:
    """Return the variables of the section on a dataset, but for its pictures."""
    cells = table(cell_columns, evidence.on(dataset), hidden_columns(evidence))
    return {
        "dataset": dataset,
        "verdict": verdict_on(evidence, dataset),
        "table": cells,
        "references": _references(evidence.on(dataset), cells),
        "split": table(split_columns, splits(evidence, dataset)),
        "questions": table(question_columns, questions(evidence, dataset)),
        "limits": question_sentence(questions(evidence, dataset)),
        "cells": len(evidence.on(dataset)),
    }


def _searchers(source: Source, plots: Plots) -> dict[str, object] | None:
    """Return the variables of the section on searchers; ``None`` if there is only one."""
    contests = source.contests
    if not contests:
        return None
    rows, last = standings(contests), max(contests)
    return {
        "sentences": contest_sentences(contests),
        "notes": list(contests[last].notes),
        "first": source.study.search.sampler[0].label,
        "plot": plots.searchers(),
        "together": table(searcher_columns, [row for row in rows if row.place == ALL], ["cell"]),
        "by_cell": table(
            searcher_columns, [row for row in rows if row.place != ALL and row.effort == last]
        ),
    }


def _samplers(source: Source, plots: Plots) -> dict[str, object] | None:
    """Return the variables of the section on samplers; ``None`` if models are learned."""
    board = source.samplers
    if board is None:
        return None
    return {
        "sentences": sampler_sentences(board),
        "plot": plots.samplers(),
        "together": table(sampler_columns, at_the_end(board), ["dataset"]),
        "floors": exactly(floor_frame(board)),
        "by_dataset": table(sampler_columns, at_the_end(board, together=False), ["evaluations"]),
    }


_IMPORTANCE = ["parameter", "importance", "importance_low", "importance_high"]


def _importances(sensitivity: pd.DataFrame) -> list[list[str]]:
    """Return the importance of hyperparameters, a row per cell with enough trials."""
    known = sensitivity[sensitivity["importance"].notna()]
    return [
        [
            *map(str, cell),
            ", ".join(
                f"{name} {_share(*numbers)}"
                for name, *numbers in rows[_IMPORTANCE].to_numpy().tolist()
            ),
        ]
        for cell, rows in known.groupby(["dataset", "method", "sampler"], sort=False)
    ]


def _share(value: float, low: float, high: float) -> str:
    interval = "" if math.isnan(low) else f" ({100 * low:.0f}–{100 * high:.0f})"
    return text.percent(value) + interval


def _references(cells: list[CellResults], shown: ShownTable) -> list[list[str]]:
    """Return rows for the floor and the reference methods, in the columns of a table."""
    if not cells:
        return []
    samplers = {cell.sampler: cell for cell in cells}
    references = [("truth (floor)", "iid", cells[0].truth)]
    for sampler, cell in sorted(samplers.items()):
        losses = {"exact score": cell.oracle, "untrained": cell.untrained, **cell.others}
        references += [(name, sampler, values) for name, values in losses.items()]
    rows = []
    for name, sampler, values in references:
        if len(values):
            # Where all share a method, there is no column for its name.
            own = [name, sampler] if "method" in shown.headers else ["", _joined(name, sampler)]
            fields = dict(zip(("method", "sampler"), own, strict=True))
            fields |= _reference_fields(cells[0], values)
            rows.append([fields.get(header, "") for header in shown.headers])
    return rows


def _joined(name: str, sampler: str) -> str:
    return name if sampler == "iid" else f"{name}, {sampler}"


def _reference_fields(cell: CellResults, losses: Array) -> dict[str, str]:
    estimated = estimate([losses])
    mean, half = estimated.value, estimated.half_width()
    fields = {
        "mean": text.mean_of(mean, half),
        "95 % interval": text.interval(mean - half, mean + half),
        "seeds": str(len(losses)),
    }
    if cell.floor_is_positive and math.isfinite(mean):
        fields["× floor"] = text.number(mean / cell.floor)
    return fields


def _failures(source: Source) -> list[list[str]]:
    results = source.results
    rows = results[(results["state"] != "ok") | (results["failure"] != "")]
    return [
        [
            *(str(row[name]) for name in ("phase", "method", "dataset", "sampler")),
            _run(row),
            str(row["state"]),
            str(row["failure"] or "no reason recorded"),
        ]
        for row in rows.to_dict("records")
    ]


def _run(row: Mapping[Any, Any]) -> str:
    replicate = f"replicate {row['replicate']:.0f}"
    return replicate if pd.isna(row["trial"]) else f"trial {row['trial']}, {replicate}"


def _commands(evidence: Evidence) -> list[dict[str, str]]:
    """Return the commands that replay and print the winner of each cell."""
    one_sampler = evidence.nouns == "methods"
    rows = []
    for cell in evidence.cells:
        if not cell.missing:
            words = [".", cell.method, cell.dataset]
            words += [] if one_sampler else ["--sampler", cell.sampler]
            rows.append(
                {
                    "dataset": cell.dataset,
                    "label": cell.label,
                    "replay": shlex.join(["scorebench", "replay", *words]),
                    "best": shlex.join(["scorebench", "best", *words]),
                }
            )
    return rows


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names ``a.b`` and the values of nested settings."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _flat(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{name}.{number}")
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
