"""Is everything that a study names there, and does it take what the study gives it?"""

import inspect
from collections.abc import Iterator
from typing import Any

from ...bench.spec import SPLIT_SAMPLER, Option, Plugin
from ...datasets.errors import UsageError, unknown
from ..engine import Engine
from .entries import Entry, Setting
from .space import Common, common, example, explore, propose
from .spec import COMPUTE, StudySpec
from .sweep import Swept, swept_options


def check_names(study: StudySpec, engine: Engine) -> None:
    """Look names up without importing what they stand for.

    Raises:
        UsageError: A method, dataset, sampler or metric is unknown; the nearest is suggested.
            Or a plug-in of the study cannot be loaded.
    """
    engine.equip(study.plugins)
    check_device(study, engine)
    for kind, entries in (
        ("method", study.methods),
        ("dataset", study.datasets),
        ("sampler", study.samplers),
    ):
        known = engine.names(kind)
        for entry in entries:
            if entry.name not in known:
                raise unknown(kind, entry.name, known)
    known = engine.names("reference")
    for entry in study.reference.methods:
        if entry.name not in known:
            raise unknown("reference", entry.name, known)
    for entry in study.methods:
        if entry.label in known:
            raise UsageError(
                f"the label {entry.label!r} belongs to the reference rows: "
                f'give the method another, for example label = "{entry.label}_2"'
            )
    known = engine.names("metric")
    for name in (study.objective, *study.costs, *study.evaluation.metrics):
        if name not in known and name not in COMPUTE:
            raise unknown("metric", name, known)


def check_device(study: StudySpec, engine: Engine) -> None:
    """See whether this machine has what the study computes on.

    Raises:
        UsageError: It has not.
    """
    reason = engine.missing_device(study.device)
    if reason is not None:
        raise UsageError(
            f'device = "{study.device}", and {reason}: give device = "cpu", whose numbers are '
            "another study's"
        )


def check_options(study: StudySpec, engine: Engine) -> None:
    """Match every option and hyperparameter with what its plug-in takes.

    Raises:
        UsageError: One is unknown, unsuitable, or left open although nothing is searched.
    """
    for entry in study.methods:
        _check_method(study, entry, engine)
    for kind, entries in (
        ("dataset", study.datasets),
        ("sampler", study.samplers),
        ("reference", study.reference.methods),
    ):
        for entry in entries:
            made = resolve(kind, entry, engine)
            engine.make(kind, made)
            for name, swept in _swept(kind, entry, engine).items():
                parameter = engine.options(kind, entry.name)[name]
                for end in swept.ends:
                    checked = _typed(entry.label, name, end, parameter)
                    options = {**made.options, name: checked}
                    engine.make(kind, Plugin(name=made.name, options=options))


def check_fit(study: StudySpec, engine: Engine) -> None:
    """See whether each method, sampler and metric can do on each dataset what is asked of it.

    Raises:
        UsageError: One cannot; the reason is given.
    """
    for where in study.datasets:
        dataset = resolve("dataset", where, engine)
        for entry in study.methods:
            shared = common(engine, study, study.samplers[0].label)
            options = example(engine, entry, shared).options
            method = Plugin(name=entry.name, options=options)
            complaint = engine.network_complaint(study.network, dataset, method)
            if complaint is not None:
                raise UsageError(
                    f"network {study.network.module!r} cannot be used with {entry.label!r} on "
                    f"{where.label!r}: {complaint}"
                )
            for kind, name, complaint in _asked(study, entry):
                reason = engine.unfit(kind, name, dataset, method, study.network)
                if reason is not None:
                    raise UsageError(f"{complaint} on {where.label!r}: {reason}")


def _asked(study: StudySpec, entry: Entry) -> Iterator[tuple[str, str, str]]:
    """What is asked of models of a method: kind and name of a plug-in, and what if it is unfit."""
    yield "method", entry.name, f"method {entry.label!r} cannot be used"
    for sampler in study.samplers:
        complaint = f"sampler {sampler.label!r} cannot be used with {entry.label!r}"
        yield "sampler", sampler.name, complaint
    for name in study.evaluation.metrics:
        yield "metric", name, f"metric {name!r} has no value for {entry.label!r}"
    if study.reference.split:
        complaint = f"reference.split is impossible for {entry.label!r}"
        yield "sampler", SPLIT_SAMPLER, complaint


def _check_method(study: StudySpec, entry: Entry, engine: Engine) -> None:
    everywhere = [common(engine, study, sampler.label) for sampler in study.samplers]
    try:
        found = max(
            (explore(engine, entry, shared) for shared in everywhere),
            key=lambda found: len(found.free),
        )
    except UsageError as error:
        raise UsageError(f"method {entry.label!r}: {error}") from error
    for name in entry.settings:
        if name not in found.names:
            raise unknown(f"hyperparameter of {entry.name!r}", name, found.names)
    if study.search.sampler == "grid" and study.search.trials and found.free:
        for shared in everywhere:
            _check_grid(study, entry, engine, shared)
    if study.search.trials == 0 and found.free:
        # The learning rate is usually shared, so it is shown where it is set for all methods.
        own = [name for name in found.free if name in found.names and name != "learning_rate"]
        swept = [name for name in found.free if "." in name]
        how = (
            f'{{name = "{entry.name}", {own[0]} = {_toml(found.names[own[0]])}}}'
            if own
            else f"give {swept[0]} one value"
            if swept
            else "training.learning_rate = 0.001"
        )
        raise UsageError(
            f"search.trials = 0 leaves {', '.join(found.free)} of method {entry.label!r} open: "
            f"fix it, for example {how}"
        )


def _check_grid(study: StudySpec, entry: Entry, engine: Engine, shared: Common) -> None:
    import optuna

    from .searchers import Grid, grid_size

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(sampler=Grid()).ask()
    try:
        propose(engine, entry, shared, trial)
    except UsageError as error:
        raise UsageError(f"method {entry.label!r}: {error}") from error
    size = grid_size(trial.distributions)
    if size != study.search.trials:
        raise UsageError(
            f"the grid of method {entry.label!r} has {size} combinations, and search.trials = "
            f"{study.search.trials}: set it to {size}"
        )


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower()


def resolve(kind: str, entry: Entry, engine: Engine) -> Plugin:
    """A dataset or sampler with all of its options decided.

    Numbers take the type of their default, so that 1 and 1.0 are the same run.

    Raises:
        UsageError: An option is unknown, of the wrong type, or has no value.
    """
    parameters = engine.options(kind, entry.name)
    known = {n: p for n, p in parameters.items() if p.kind in _NAMED}
    for name in entry.settings:
        if name not in known:
            if not known:
                raise UsageError(f"{kind} {entry.name!r} takes no options, so {name} cannot be set")
            raise unknown(f"option of {kind} {entry.name!r}", name, known)
    options: dict[str, Option] = {}
    swept = _swept(kind, entry, engine)
    for name, parameter in known.items():
        if name in swept:
            options[name] = swept[name].middle
        elif name in entry.settings:
            options[name] = _typed(entry.label, name, entry.settings[name], parameter)
        elif parameter.default is inspect.Parameter.empty:
            raise UsageError(f"{kind} {entry.label!r} needs a value for {name}")
        elif isinstance(parameter.default, bool | int | float | str):
            options[name] = parameter.default
    return Plugin(name=entry.name, options=options)


_NAMED = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


def _swept(kind: str, entry: Entry, engine: Engine) -> dict[str, Swept]:
    """What is searched of a sampler; nothing of anything else."""
    if kind != "sampler" or not entry.settings:
        return {}
    parameters = engine.options(kind, entry.name)
    return swept_options(entry, {name: one.default for name, one in parameters.items()})


def _typed(label: str, name: str, value: Setting, parameter: inspect.Parameter) -> Option:
    if not isinstance(value, bool | int | float | str):
        raise UsageError(f"{label}.{name} should be a single value")
    wanted: type = type(parameter.default)
    if wanted is float and type(value) is int:
        return float(value)
    if wanted in {bool, int, float, str} and type(value) is not wanted:
        what = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
        raise UsageError(f"{label}.{name} = {value!r}: should be {what[wanted]}")
    return value
