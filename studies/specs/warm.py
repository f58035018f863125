"""Trials of others, which a search learns from; they are not ranked, chosen or counted."""

import fnmatch
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...bench.spec import RunSpec
from ...datasets.errors import UsageError, unknown
from ...methods.space import NONE
from ..engine import Engine
from .carry import found
from .first import cells_of, distributions, in_cells, inside, read_results, value_at
from .open import Template
from .require import WORST
from .spec import StudySpec
from .tables import CELLS, Foreign

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FOREIGN = "foreign"
"""Attribute of trials in Optuna's storage that another study made."""

_FIELD = "search.warm"


def carry_trials(study: StudySpec, folder: Path) -> StudySpec:
    """Replace run directories and storages by their trials, which become part of the study.

    Args:
        study: The study as it was read.
        folder: Where paths start; those of overrides may start from the current folder.

    Raises:
        UsageError: One cannot be read, has no finished trials, or has other objectives.
    """
    warm = study.search.warm
    if all("params" in item for item in warm):
        return study
    trials: list[Foreign] = []
    for source in warm:
        if "params" in source:
            trials.append(source)
        elif found(source["storage"], folder).is_dir():
            trials += _of_directory(study, source, folder)
        else:
            trials += _of_storage(study, source, folder)
    search = study.search.model_copy(update={"warm": tuple(trials)})
    return study.model_copy(update={"search": search})


def _of_directory(study: StudySpec, source: Mapping[str, str], folder: Path) -> list[Foreign]:
    name = source["storage"]
    if "study" in source:
        raise UsageError(f"{_FIELD} = {name!r} is a run directory, and study is for storages")
    trials: list[Foreign] = []
    for configuration, row in read_results(name, folder, _FIELD, "search"):
        values = [_number(row, name, objective) for objective in (study.objective, *study.costs)]
        if row.get("replicate") != "0" or not all(map(math.isfinite, values)):
            continue
        limits = {
            limit.text: limit.violation(_number(row, name, limit.name))
            for limit in study.search.requirements
        }
        params = {key: value for key, value in configuration.items() if key != CELLS}
        trial = {CELLS: configuration[CELLS], "params": params, "values": values}
        trials.append(trial | {"violations": limits})
    own = in_cells(study, trials, name, _FIELD, "trial")
    return [trial for trial in own if fnmatch.fnmatchcase(trial[CELLS], source.get(CELLS, "*"))]


def _number(row: Mapping[str, str], name: str, column: str) -> float:
    if column not in row:
        raise UsageError(f"{_FIELD} = {name!r} has no column {column}, which this study needs")
    try:
        return float(row[column] or "nan")
    except ValueError as error:
        raise UsageError(f"{_FIELD} = {name!r}: its {column} is no number") from error


def _of_storage(study: StudySpec, source: Mapping[str, str], folder: Path) -> list[Foreign]:
    from optuna.study import StudyDirection
    from optuna.trial import TrialState

    from .stored import open_stored

    storage, shown = open_stored(source["storage"], folder)
    what = f"{_FIELD} = {shown!r}"
    studies = {stored.study_name: stored for stored in storage.get_all_studies()}
    named = source.get("study")
    if named is None and len(studies) != 1:
        example = next(iter(studies), "NAME")
        raise UsageError(
            f'{what} has {len(studies)} studies: name one, {{storage = "...", study = "{example}"}}'
        )
    stored = studies.get(named or next(iter(studies)))
    if stored is None:
        raise unknown(f"study in {what}", str(named), studies)
    expected = [StudyDirection.MINIMIZE] * (1 + len(study.costs))
    if stored.directions != expected:
        directions = ", ".join(direction.name.lower() for direction in stored.directions)
        raise UsageError(
            f"{what}: study {stored.study_name!r} has the directions {directions}, and this study "
            f"has {', '.join(direction.name.lower() for direction in expected)}"
        )
    finished = storage.get_all_trials(stored._study_id, states=(TrialState.COMPLETE,))
    trials = []
    for trial in finished:
        # A failed run of this package has the value WORST.
        if not all(value < WORST for value in map(abs, trial.values)):
            continue
        params = {name: NONE if value is None else value for name, value in trial.params.items()}
        limits = {
            name: value for name, value in trial.constraints.items() if name in study.search.require
        }
        known = {CELLS: source.get(CELLS, "*"), "params": params, "values": trial.values}
        trials.append(known | {"violations": limits})
    if not trials:
        raise UsageError(f"{what}: study {stored.study_name!r} has no finished trials")
    return trials


def foreign_trials(template: Template) -> "list[FrozenTrial]":
    """Return the trials of others that the search of a cell knows, as Optuna's.

    Raises:
        UsageError: One has other parameters than the cell, or a value outside of its range.
    """
    label = "-".join(template.cell.labels)
    own = [item for item in template.study.search.warm if fnmatch.fnmatchcase(label, item[CELLS])]
    if not own or not template.open:
        return []
    spaces, run = distributions(template), template.close(template.middle())
    return [_trial(template, item, spaces, run) for item in own]


def _trial(
    template: Template, item: Foreign, spaces: Mapping[str, Any], run: RunSpec
) -> "FrozenTrial":
    # Imported on first use: Optuna is slow to load.
    from optuna.trial import FixedTrial, create_trial

    label = "-".join(template.cell.labels)
    params: dict[str, Any] = {}
    for name, value in item["params"].items():
        if name in spaces:
            params[name] = inside(name, value, spaces[name], _FIELD)
        elif (fixed := value_at(run, name)) is None:
            raise unknown(f"parameter of {label} in {_FIELD}", name, spaces)
        elif fixed != value:
            raise UsageError(f"{_FIELD}: {name} = {value!r}, which is {fixed!r} in {label}")
    trial = FixedTrial(params)
    try:
        template.suggest(trial)
    except ValueError as error:
        lacking = ", ".join(name for name in spaces if name not in params)
        raise UsageError(
            f"{_FIELD}: a trial has no value of {lacking}, which {label} searches"
        ) from error
    limits = item["violations"]
    for text in template.study.search.require:
        if text not in limits:
            raise UsageError(f"{_FIELD}: its trials do not say how they keep {text!r}")
    return create_trial(
        params=trial.params,
        distributions=trial.distributions,
        values=list(map(float, item["values"])),
        constraints={text: float(limits[text]) for text in template.study.search.require},
        user_attrs={FOREIGN: True},
    )


def check_warm(study: StudySpec, engine: Engine) -> None:
    """Raise ``UsageError`` unless the searches of a study can learn from all trials of others."""
    if not study.search.warm:
        return
    from .searchers import Searcher

    for entry in study.search.sampler:
        if not Searcher(entry, study.search.startup).learns:
            raise UsageError(
                f'search.sampler = "{entry.name}" does not learn from trials that it did not '
                f"propose: leave out {_FIELD}, or give tpe, gp or one of your own"
            )
    labels = ["-".join(cell.labels) for cell in cells_of(study)]
    for pattern in dict.fromkeys(item[CELLS] for item in study.search.warm):
        if not fnmatch.filter(labels, pattern):
            raise unknown(f"cell in {_FIELD}", pattern, labels)
    for cell in cells_of(study):
        foreign_trials(Template(engine, study, cell))
