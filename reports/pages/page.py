"""``report.html``: one file that holds everything, opens anywhere and needs no network."""

import math
import shlex
from collections.abc import Iterator
from typing import Any

import pandas as pd

from .. import text
from ..figures.gallery import embedded, gallery
from ..figures.overview import overview
from ..figures.plots import Plots, hyperparameters
from ..figures.style import DARK, LIGHT, encode
from ..ranking.board_columns import board_columns
from ..ranking.budget import budget_sentences, budgets
from ..ranking.cell_columns import cell_columns
from ..ranking.cell_results import CellResults
from ..ranking.evidence import Evidence
from ..ranking.friedman import rank_sentence
from ..ranking.pairs import pair_columns, pairs
from ..ranking.sensitivity import FEWEST_TRIALS, edge_sentences, sensitivity
from ..ranking.split import split_columns, splits
from ..ranking.statistics import estimate
from ..ranking.verdict import answer, headline, remarks, verdict_on
from ..source import Source
from .protocol import missing, protocol
from .render import render
from .tables import Table, table


def page(source: Source) -> str:
    """The report of a run directory as HTML; equal inputs give equal text.

    Args:
        source: The directory, read.
    """
    evidence, plots = source.evidence, Plots(source)
    found = sensitivity(source.study, evidence)
    return render(
        "report.html.j2",
        study=source.study,
        title=_title(evidence),
        headline=headline(evidence),
        answer=answer(evidence),
        remarks=remarks(evidence),
        missing=missing(source),
        notes=list(evidence.notes),
        overview=_overview(evidence),
        board=table(board_columns, evidence.contestants, _needless(evidence)),
        pairs=table(pair_columns, pairs(evidence)),
        rank_test=rank_sentence(evidence),
        critical=plots.critical(),
        budgets=budget_sentences(evidence, budgets(evidence, source.independent)),
        sensitivity=_sensitivity(found),
        warnings=edge_sentences(found),
        fewest_trials=FEWEST_TRIALS,
        parts=[_part(source, plots, dataset) for dataset in evidence.datasets],
        failures=_failures(source),
        protocol=protocol(source.study),
        toml=source.study.to_toml(),
        environment=[(name, list(_flat(one))) for name, one in source.environment.items()],
        commands=_commands(evidence),
        rows=len(source.results),
    )


def _title(evidence: Evidence) -> str:
    methods = sorted({contestant.method for contestant in evidence.contestants})
    if len(methods) > 6:
        return f"{len(methods)} methods on {text.plural(len(evidence.datasets), 'dataset')}"
    return f"{text.listed(methods)} on {text.plural(len(evidence.datasets), 'dataset')}"


def _needless(evidence: Evidence) -> list[str]:
    samplers = {contestant.sampler for contestant in evidence.contestants}
    return ["sampler"] if len(samplers) < 2 else []


def _overview(evidence: Evidence) -> dict[str, str] | None:
    if not evidence.compared:
        return None
    sizes: dict[str, dict[str, Any]] = {"wide": {}, "narrow": {"columns": 1, "width": 4.3}}
    pictures = {
        f"{size}_{name}": embedded(encode(overview(evidence, theme, **how), "svg"), "svg+xml")
        for size, how in sizes.items()
        for name, theme in (("light", LIGHT), ("dark", DARK))
    }
    described = "; ".join(
        f"{cell.dataset}: {', '.join(_spoken(c) for c in evidence.on(cell.dataset))}"
        for cell in (evidence.on(name)[0] for name in evidence.datasets)
    )
    return pictures | {"alt": f"Confirmed means with 95 % intervals. {described}"}


def _spoken(cell: CellResults) -> str:
    if cell.missing or cell.failed:
        return f"{cell.method} {'missing' if cell.missing else 'failed'}"
    return f"{cell.method} {text.measured(cell.mean, cell.loss.half_width())}"


def _part(source: Source, plots: Plots, dataset: str) -> dict[str, Any]:
    evidence = source.evidence
    cells = evidence.on(dataset)
    filled = table(cell_columns, cells, _needless(evidence))
    return {
        "dataset": dataset,
        "verdict": verdict_on(evidence, dataset),
        "table": filled,
        "references": _references(cells, filled),
        "split": table(split_columns, splits(evidence, dataset)),
        "gallery": gallery(source, cells),
        "plots": plots.on(dataset),
        "slices": hyperparameters(source, plots, dataset),
    }


def _sensitivity(found: pd.DataFrame) -> list[list[str]]:
    """Importance in percent of each hyperparameter, a row per cell that has enough trials."""
    known = found[found["importance"].notna()]
    known = known.assign(
        shown=[
            f"{name} {text.percent(float(share))}"
            for name, share in zip(known["parameter"], known["importance"], strict=True)
        ]
    )
    groups = known.groupby(["dataset", "method", "sampler"], sort=False)
    return [[*map(str, cell), ", ".join(some["shown"])] for cell, some in groups]


def _references(cells: list[CellResults], filled: Table) -> list[list[str]]:
    """Rows for the floor, the exact score and the untrained network, under the methods."""
    if not cells:
        return []
    rows = []
    several = len({cell.sampler for cell in cells}) > 1
    kinds = [("truth (floor)", "iid", cells[0].truth)]
    samplers = {cell.sampler: cell for cell in cells}
    for sampler, cell in sorted(samplers.items()):
        shown = {"exact score": cell.oracle, "untrained": cell.untrained, **cell.others}
        kinds.extend((name, sampler, values) for name, values in shown.items())
    for name, sampler, values in kinds:
        if not len(values):
            continue
        cell = cells[0]
        known = estimate([values])
        half = known.half_width()
        mean = known.value
        entries = {
            "method": name,
            "sampler": sampler if several else "",
            "mean": text.mean_of(mean, half),
            "95 % interval": text.interval(mean - half, mean + half),
            "seeds": str(len(values)),
            "× floor": text.number(mean / (cell.floor))
            if cell.floor_is_positive and math.isfinite(mean)
            else "",
        }
        rows.append([entries.get(header, "") for header in filled.headers])
    return rows


def _failures(source: Source) -> list[list[str]]:
    rows = source.results[source.results["state"] != "ok"]
    shown = []
    for row in rows.to_dict("records"):
        trial = row["trial"]
        run = "" if pd.isna(trial) else f"trial {trial}, "
        shown.append(
            [
                *(str(row[name]) for name in ("phase", "method", "dataset", "sampler")),
                f"{run}replicate {row['replicate']:.0f}",
                str(row["state"]),
                str(row["failure"] or "no reason was recorded"),
            ]
        )
    return shown


def _commands(evidence: Evidence) -> list[dict[str, str]]:
    several = not _needless(evidence)
    rows = []
    for cell in evidence.cells:
        if not cell.missing:
            which = [".", cell.method, cell.dataset]
            which += ["--sampler", cell.sampler] if several else []
            rows.append(
                {
                    "dataset": cell.dataset,
                    "label": cell.label,
                    "replay": shlex.join(["scorebench", "replay", *which]),
                    "best": shlex.join(["scorebench", "best", *which]),
                }
            )
    return rows


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as lines ``a.b``: value."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _flat(value[key], f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{name}.{number}")
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
