"""Check that searchers can search the cells of a study, and that its recorded runs exist."""

import itertools
from typing import Any

from ...bench.spec import RunSpec
from ...datasets.errors import UsageError
from ..cell import Cell
from ..engine import Engine
from .open import Template
from .spec import IID, TRUTH, StudySpec


def check_searchers(template: Template) -> None:
    """Raise ``UsageError`` unless the searchers of the study can search a cell."""
    # Imported on first use: it loads Optuna.
    import optuna

    from .optuna_samplers import GridSearcher, grid_size
    from .searchers import Searcher

    search, objectives = template.study.search, 1 + len(template.study.costs)
    for entry in search.sampler:
        searcher = Searcher(entry, search.startup)
        grid = entry.name == "grid"
        proposer = GridSearcher() if grid else optuna.samplers.RandomSampler(seed=0)
        trial = optuna.create_study(sampler=proposer).ask()
        template.suggest(trial)
        searcher.check_space(trial.distributions, objectives)
        searcher.check_require(search.require)
        size = grid_size(trial.distributions) if grid else search.trials
        if size != search.trials:
            raise UsageError(
                f"its grid has {size} combinations, and search.trials = {search.trials}: "
                f"set it to {size}"
            )


def check_recorded(study: StudySpec, engine: Engine) -> None:
    """Raise ``UsageError`` unless all runs of a study that trains nothing were recorded."""
    if engine.lookup is None:
        return
    search, reference = study.search, study.reference
    several = min(search.finalists, search.trials) > 1 or len(search.sampler) > 1
    repeated = search.race is not None or several
    seeds = 1 + search.repeats * repeated + study.confirm.seeds
    grid = list(itertools.product(study.datasets, study.samplers))
    methods = [(entry, seeds) for entry in study.methods]
    methods += [(entry, reference.seeds) for entry in reference.methods]
    runs = [
        (Cell(method.label, dataset.label, sampler.label), count)
        for method, count in methods
        for dataset, sampler in grid
    ]
    runs += [(Cell(TRUTH, dataset.label, IID), reference.floors) for dataset in study.datasets]
    for cell, count in runs:
        run, space = _proposal(Template(engine, study, cell))
        if count and (complaint := engine.lookup.complaint(run, space, count)):
            raise UsageError(f"recorded = {study.recorded!r}: {complaint}")


def _proposal(template: Template) -> tuple[RunSpec, dict[str, Any]]:
    """Propose a run at random; return it and Optuna's distributions of its parameters."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    return template.close(template.suggest(trial)), trial.distributions
