"""Known configurations, which a search tries before those that its algorithm proposes."""

import csv
import fnmatch
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...bench.spec import Option, RunSpec, Scalar
from ...datasets.errors import UsageError, unknown
from ...methods.space import NONE, branches
from ..cell import Cell
from ..engine import Engine
from ..lookup import place
from .carry import found
from .open import FIELDS, Template
from .spec import StudySpec
from .tables import CELLS, DEFAULT, Known

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_FIELD = "search.first"

T = TypeVar("T", bound=Mapping[str, Any])

RESULTS = "results.csv"
"""The results table in a run directory."""


def carry_winners(study: StudySpec, folder: Path) -> StudySpec:
    """Replace run directories among the known configurations by their winners.

    Args:
        study: The study as it was read.
        folder: Where paths start; those of overrides may start from the current folder.

    Raises:
        UsageError: One is not a finished run directory, or has no winner of a cell of the study.
    """
    if not any(isinstance(known, str) and known != DEFAULT for known in study.search.first):
        return study
    first: list[Known] = []
    for known in study.search.first:
        named = isinstance(known, str) and known != DEFAULT
        first += _of_study(study, str(known), folder) if named else [known]
    search = study.search.model_copy(update={"first": tuple(first)})
    return study.model_copy(update={"search": search})


def _of_study(study: StudySpec, name: str, folder: Path) -> list[dict[str, Scalar]]:
    confirmed = read_results(name, folder, _FIELD, "confirm", f"neither {DEFAULT!r} nor ")
    every = [configuration for configuration, _ in confirmed]
    return in_cells(study, every, name, _FIELD, "winner")


def read_results(
    name: str, folder: Path, field: str, phase: str, instead: str = "not "
) -> list[tuple[dict[str, Scalar], dict[str, str]]]:
    """Read the results table of a run directory that a field of a study names.

    Returns:
        Of every run of a phase that did not fail, its configuration and its row.

    Raises:
        UsageError: It is not a finished run directory.
    """
    path = found(f"{name}/{RESULTS}", folder)
    if not path.is_file():
        raise UsageError(
            f"{field} = {name!r} is {instead}a finished run directory: there is no {str(path)!r}"
        )
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["phase"] == phase]
        return [(_configuration(row), row) for row in rows if row["state"] == "ok"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise UsageError(f"{field} = {name!r}: {str(path)!r} is damaged") from error


def in_cells(study: StudySpec, items: list[T], name: str, field: str, what: str) -> list[T]:
    """Return the distinct ones that are for a cell of the study.

    Raises:
        UsageError: None is.
    """
    cells = {"-".join(cell.labels) for cell in cells_of(study)}
    own: list[T] = []
    for item in items:
        if item[CELLS] in cells and item not in own:
            own.append(item)
    if not own:
        there = ", ".join(dict.fromkeys(str(item[CELLS]) for item in items)) or "none"
        raise UsageError(
            f"{field} = {name!r} has no {what} of a cell of this study (its {what}s: {there})"
        )
    return own


def _configuration(row: Mapping[str, str]) -> dict[str, Scalar]:
    """Return the configuration of a row of the results table, and the cell that it is for."""
    run = RunSpec.parse(row["spec"])
    names = [name.removeprefix("params.") for name in row if name.startswith("params.")]
    values = {name: value_at(run, name) for name in names}
    single = {name: v for name, v in values.items() if v is not None and not isinstance(v, tuple)}
    return {CELLS: f"{row['method']}-{row['dataset']}-{row['sampler']}", **single}


def value_at(run: RunSpec, parameter: str) -> Option | None:
    """Return the value of a run at the place of a parameter of Optuna; None if it has none."""
    table, field = place(parameter)
    part = getattr(run, table)
    if table in ("method", "sampler"):
        return (
            NONE
            if field in part.options and part.options[field] is None
            else part.options.get(field)
        )
    value: Option | None = getattr(part, field, None)
    return value


def configurations(template: Template) -> list[dict[str, Option]]:
    """Return what is known for a cell, as parameters of Optuna; open places may be left out.

    Raises:
        UsageError: A value is outside of its range, or the method has no published setting.
    """
    found: list[dict[str, Option]] = []
    for known in template.study.search.first:
        own = _applied(template, known)
        if own and own not in found:
            found.append(own)
    return found


def _applied(template: Template, known: Known) -> dict[str, Option] | None:
    """Return the parameters of a known configuration in a cell; None if it is not for it."""
    values = _published(template) if isinstance(known, str) else known
    if not fnmatch.fnmatchcase("-".join(template.cell.labels), str(values.get(CELLS, "*"))):
        return None
    spaces = distributions(template)
    run = template.close(template.middle())
    chosen: dict[str, Option] = {}
    for name, value in values.items():
        if name in spaces:
            chosen[name] = inside(name, value, spaces[name])
        elif name != CELLS and (value_at(run, name) is None or value_at(run, name) != value):
            return None
    return chosen


def distributions(template: Template) -> "dict[str, BaseDistribution]":
    """Return Optuna's distributions of a cell, over all branches of its space."""
    # Imported on first use: Optuna is slow to load.
    from optuna.trial import FixedTrial

    found: dict[str, BaseDistribution] = {}
    for middle in branches(template.suggest):
        trial = FixedTrial(dict(middle.values))
        template.suggest(trial)
        found |= trial.distributions
    return found


def _published(template: Template) -> Mapping[str, Scalar]:
    label = template.cell.method
    name = next(entry.name for entry in template.study.methods if entry.label == label)
    published = template.engine.published(name)
    if not published:
        raise UsageError(
            f'search.first = "{DEFAULT}": method {label!r} names no published setting: give values '
            f'in a table instead, such as {{{CELLS} = "{label}-*", learning_rate = 1e-3}}'
        )
    return published


def inside(name: str, value: Option, space: "BaseDistribution", field: str = _FIELD) -> Any:
    """Return a value of a field of a study as Optuna stores it.

    Raises:
        UsageError: It is outside of the range or list.
    """
    given: Any = value
    if hasattr(space, "choices"):
        given = None if value == NONE and None in space.choices else value
        options = ", ".join(repr(NONE if choice is None else choice) for choice in space.choices)
        good, right = given in space.choices, f"should be one of {options}"
    else:
        low, high = space.low, space.high  # type: ignore[attr-defined]
        good = isinstance(value, int | float) and not isinstance(value, bool)
        right = f"should be a number from {low:g} to {high:g}"
        step = getattr(space, "step", None)
        right += f" in steps of {step:g}" if step else ""
    if not good or not space._contains(space.to_internal_repr(given)):
        raise UsageError(f"{field}: {name} = {value!r} is outside of its range: {right}")
    return space.to_external_repr(space.to_internal_repr(given))


def check_first(study: StudySpec, engine: Engine) -> None:
    """Raise ``UsageError`` unless every known configuration can be tried in a cell."""
    search = study.search
    if not search.first:
        return
    for entry in search.sampler:
        if entry.name in ("grid", "brute_force"):
            raise UsageError(
                f'search.sampler = "{entry.name}" tries every combination, so none comes first: '
                "leave out search.first"
            )
    templates = [Template(engine, study, cell) for cell in cells_of(study)]
    for known in search.first:
        if not any(_applied(template, known) for template in templates):
            raise _useless(known, templates)
    for template in templates:
        count = len(configurations(template))
        if count > search.trials:
            raise UsageError(
                f"search.first has {count} configurations for {'-'.join(template.cell.labels)}, "
                f"and search.trials = {search.trials}: set it to {count} or more"
            )


def cells_of(study: StudySpec) -> Iterator[Cell]:
    """Yield the cells that are tuned, in their first restart."""
    for method, dataset, sampler in itertools.product(
        study.methods, study.datasets, study.samplers
    ):
        yield Cell(method.label, dataset.label, sampler.label)


def _useless(known: Known, templates: list[Template]) -> UsageError:
    """Say why a configuration is for no cell."""
    values = known if isinstance(known, dict) else {}
    places = {name for template in templates for name in template.open}
    fixed = {name for template in templates for name in template.hyperparameters}
    for name in values:
        if name not in places | fixed | FIELDS | {CELLS} and not name.startswith("sampler."):
            return unknown("searched place in search.first", name, sorted(places))
    pattern, stems = str(values.get(CELLS, "*")), ["-".join(t.cell.labels) for t in templates]
    if not fnmatch.filter(stems, pattern):
        return unknown("cell in search.first", pattern, stems)
    shown = ", ".join(f"{name} = {value!r}" for name, value in values.items()) or repr(known)
    return UsageError(
        f"search.first: no cell of the study searches all of {shown}: leave out what it does not "
        "have, or what the study sets to another value"
    )
