"""Check that everything a study names exists, and takes what the study gives it."""

from collections.abc import Iterator

from pydantic import ValidationError

from ...bench.spec import SPLIT_SAMPLER, Option, Plugin, RunSpec, TrainingSpec, check_metric
from ...datasets.errors import UsageError, unknown
from ...methods.space import LEARNING_RATE, check_distinct, check_setting
from ..cell import Cell, numbered
from ..engine import Engine
from ..trust import require_trust
from .check_search import check_recorded, check_searchers
from .entries import Choices, Entry, Leaf, ends, is_open, short
from .first import check_first
from .open import Template
from .resolve import resolve
from .spec import COMPUTE, TRUTH, StudySpec
from .trials import typed
from .warm import check_warm

_LONGEST_STEM = 179
"""Characters of a cell's labels: with a run's key and ``.npz`` a file's name has at most 255."""


def check(study: StudySpec, engine: Engine) -> None:
    """Raise ``UsageError`` unless a study can be run; one line says why."""
    check_names(study, engine)
    check_options(study, engine)
    check_fit(study, engine)
    check_recorded(study, engine)


def settled(study: StudySpec, engine: Engine) -> StudySpec:
    """Check a study, and leave out default reference rows that its data do not allow.

    Raises:
        UsageError: The study cannot be run; one line says why.
    """
    check_names(study, engine)
    check_options(study, engine)
    if "methods" not in study.reference.model_fields_set:
        unfit = {entry.label for entry, *_ in _unfit_references(study, engine)}
        fit = tuple(entry for entry in study.reference.methods if entry.label not in unfit)
        reference = study.reference.model_copy(update={"methods": fit})
        study = study.model_copy(update={"reference": reference}) if unfit else study
    check_fit(study, engine)
    check_recorded(study, engine)
    return study


def check_names(study: StudySpec, engine: Engine) -> None:
    """Look names up without importing the plug-ins.

    Raises:
        UsageError: A method, dataset, sampler or metric is unknown; the nearest is suggested.
            Or a plug-in of the study cannot be loaded, or its code is not trusted on this machine.
    """
    require_trust(study.code)
    engine.equip(study)
    check_device(study, engine)
    for kind, name in used(study):
        known = engine.names(kind)
        if name not in known:
            raise unknown(kind, name, known)
    references = set(engine.names("reference")) - set(engine.names("method"))
    for entry in study.methods:
        if entry.label in references:
            raise UsageError(
                f"the label {entry.label!r} belongs to the reference rows: "
                f'give the method another, for example label = "{entry.label}_2"'
            )
    for name in study.evaluation.metrics:
        check_metric(name)
    for entry in study.evaluation.measures:
        if entry.label != entry.name and entry.label in (*engine.names("metric"), *COMPUTE):
            raise UsageError(
                f"the label {entry.label!r} of the metric {entry.name!r} is the name of another "
                f'column: give a label of your own, for example label = "{entry.name}_2"'
            )
    _check_lengths(study)


def used(study: StudySpec) -> Iterator[tuple[str, str]]:
    """Yield kind and name of each plug-in that a study names."""
    for kind, entries in (
        ("method", study.methods),
        ("dataset", study.datasets),
        ("sampler", study.samplers),
        ("sampler", study.evaluation.also),
        ("reference", study.reference.methods),
    ):
        yield from ((kind, entry.name) for entry in entries)
    for name in (study.objective, *study.costs, *study.evaluation.metrics):
        if name not in COMPUTE:
            yield "metric", study.evaluation.metric(name)


def _check_lengths(study: StudySpec) -> None:
    """Raise ``UsageError`` if the labels of a cell are too long for a file name."""
    methods = [TRUTH, *study.reference.labels, *(entry.label for entry in study.methods)]
    longest = Cell(
        max(methods, key=len),
        max((entry.label for entry in study.datasets), key=len),
        max((entry.label for entry in study.samplers), key=len),
        study.search.restarts - 1,
        max(study.search.axis, key=len),
    )
    stem = longest.stem
    if len(stem) > _LONGEST_STEM:
        label = max(longest.labels, key=len)
        raise UsageError(
            f"the label {short(label)} is too long: the labels of a method, a dataset and a "
            f"sampler name files, and have {len(stem)} characters together, where "
            f"{_LONGEST_STEM} fit: give a shorter label"
        )


def check_device(study: StudySpec, engine: Engine) -> None:
    """Raise ``UsageError`` unless this machine has the device of the study."""
    reason = engine.missing_device(study.device)
    if reason is not None:
        raise UsageError(
            f'device = "{study.device}", and {reason}: give device = "cpu", whose numbers are '
            "another study's"
        )


def check_options(study: StudySpec, engine: Engine) -> None:
    """Match every option and hyperparameter with the parameters of its plug-in.

    Raises:
        UsageError: One is unknown, unsuitable, or open although nothing is searched.
    """
    # Imported on first use: it loads Optuna.
    from .searchers import Searcher

    for entry in study.search.sampler:
        Searcher(entry, study.search.startup)
    for kind, entries in (
        ("dataset", study.datasets),
        ("sampler", study.samplers),
        ("sampler", study.evaluation.also),
        ("reference", study.reference.methods),
    ):
        for entry in entries:
            for option in set(engine.options(kind, entry.name)) - {LEARNING_RATE}:
                check_setting(option)
            plugin = resolve(kind, entry, engine)
            engine.make(kind, plugin)
            if kind == "dataset":
                _try(engine, f"dataset {entry.label!r}", kind, plugin, plugin)
            for changed in _ends(entry, plugin):
                engine.make(kind, changed)
    for table, fields in (("training", study.training), ("network", study.network)):
        for name, leaf in fields.open_leaves().items():
            _check_list(f"{table}.{name}", leaf)
    dataset = study.datasets[0].label
    for entry in study.methods:
        for sampler in study.samplers:
            cell = Cell(entry.label, dataset, sampler.label)
            _check_method(Template(engine, study, cell), entry)
    check_first(study, engine)
    check_warm(study, engine)


def _ends(entry: Entry, plugin: Plugin) -> Iterator[Plugin]:
    """Yield the plug-in at both ends of each range, and with all values of each list."""
    for name, setting in entry.settings.items():
        form = type(plugin.options[name])
        # An option that is a list itself is not searched.
        if is_open(setting) and form is not tuple:
            _check_list(f"{entry.label}.{name}", setting)
            for end in ends(setting):
                option = typed(f"{entry.label}.{name}", end, form)
                yield Plugin(name=plugin.name, options={**plugin.options, name: option})


def _check_list(name: str, leaf: Leaf) -> None:
    if isinstance(leaf, Choices):
        check_distinct(name, leaf.choices)


def check_fit(study: StudySpec, engine: Engine) -> None:
    """Raise ``UsageError`` unless each method, sampler and metric suits each dataset."""
    if engine.diagnostic(study.evaluation.metric(study.objective)):
        raise UsageError(
            f"objective = {study.objective!r} is a diagnostic metric: it misses an important kind "
            "of error, so it cannot choose or rank; list it in evaluation.metrics instead"
        )
    measured = {name: Plugin(name=name) for name in study.evaluation.metrics}
    measured |= {e.label: resolve("metric", e, engine) for e in study.evaluation.measures}
    for dataset in study.datasets:
        data = resolve("dataset", dataset, engine)
        for name, metric in measured.items():
            _try(engine, f"metric {name!r}", "metric", metric, data)
        for entry in study.methods:
            cell = Cell(entry.label, dataset.label, study.samplers[0].label)
            template = Template(engine, study, cell)
            run = template.close(template.middle())
            complaint = engine.network_complaint(run.network, run.dataset, run.method)
            if complaint is not None:
                raise UsageError(
                    f"network {run.network.module!r} cannot be used with {entry.label!r} on "
                    f"{dataset.label!r}: {complaint}"
                )
            _check_own(template, run)
            for kind, name, complaint in _uses(study, entry):
                reason = engine.unfit(kind, name, run.dataset, run.method, run.network)
                if reason is not None:
                    raise UsageError(f"{complaint} on {dataset.label!r}: {reason}")

    for entry, label, reason in _unfit_references(study, engine):
        raise UsageError(
            f"reference.methods: {entry.label!r} is impossible on {label!r}: {reason}: leave it out"
        )


def _unfit_references(study: StudySpec, engine: Engine) -> Iterator[tuple[Entry, str, str]]:
    """Yield the reference methods that a dataset does not allow, its label, and why."""
    for dataset in study.datasets if study.reference.seeds else ():
        cell = Cell(study.methods[0].label, dataset.label, study.samplers[0].label)
        template = Template(engine, study, cell)
        run = template.close(template.middle())
        for entry in study.reference.methods:
            reason = engine.unfit("reference", entry.name, run.dataset, run.method, run.network)
            if reason is not None:
                yield entry, dataset.label, reason


def _check_own(template: Template, run: RunSpec) -> None:
    """Raise ``UsageError`` unless a method that makes its model itself can do what is asked."""
    study, label = template.study, template.cell.method
    if template.gives == "points" and len(study.samplers) > 1:
        raise UsageError(
            f"method {label!r} gives points alone, which no sampler changes: leave one of the "
            f"samplers {', '.join(entry.label for entry in study.samplers)} in such a study"
        )
    if template.gives is None:
        return
    for number in range(study.confirm.seeds * study.search.restarts):
        options = numbered(run.method.options, number)
        method = run.method.model_copy(update={"options": options})
        why = template.engine.unusable(method, run.dataset, run.evaluation.samples)
        if why is not None:
            raise UsageError(f"method {label!r} on {template.cell.dataset!r}: {why}")


def _try(engine: Engine, what: str, kind: str, plugin: Plugin, dataset: Plugin) -> None:
    complaint = engine.complaint(kind, plugin, dataset)
    if complaint is not None:
        raise UsageError(f"{what}: {complaint}")


def _uses(study: StudySpec, entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Yield kind and name of each plug-in that a method meets, and the error if it is unfit."""
    yield "method", entry.name, f"method {entry.label!r} cannot be used"
    for sampler in (*study.samplers, *study.evaluation.also):
        complaint = f"sampler {sampler.label!r} cannot be used with {entry.label!r}"
        yield "sampler", sampler.name, complaint
    for name in study.evaluation.metrics:
        complaint = f"metric {name!r} has no value for {entry.label!r}"
        yield "metric", study.evaluation.metric(name), complaint
    if study.reference.split:
        complaint = f"reference.split is impossible for {entry.label!r}"
        yield "sampler", SPLIT_SAMPLER, complaint


def _check_method(template: Template, entry: Entry) -> None:
    trials, hyperparameters = template.study.search.trials, template.hyperparameters
    try:
        beyond = template.survey()
        searched = template.open
        values = template.middle()["method"]
        for (name, value), own in beyond.items():
            plugin = Plugin(name=entry.name, options={**values, name: value})
            what = f"{name} = {value!r} is outside of its range ({own}) and fails"
            _try(template.engine, what, "method", plugin, template.dataset)
        for name, leaf in entry.settings.items():
            _check_list(name, leaf)
        if LEARNING_RATE in entry.settings:
            _check_rate(entry.settings[LEARNING_RATE])
        if trials > 0 and searched:
            check_searchers(template)
    except UsageError as error:
        raise UsageError(f"method {entry.label!r}: {error}") from error
    for name in entry.settings:
        if name not in hyperparameters:
            raise unknown(f"hyperparameter of {entry.name!r}", name, hyperparameters)
    if trials == 0 and searched:
        raise UsageError(
            f"search.trials = 0 leaves {', '.join(searched)} of method {entry.label!r} open: "
            f"fix it, for example {_example(entry, searched, hyperparameters)}"
        )


def _check_rate(leaf: Leaf) -> None:
    _check_list(LEARNING_RATE, leaf)
    for rate in ends(leaf):
        try:
            TrainingSpec.model_validate({LEARNING_RATE: rate})
        except ValidationError as error:
            should = error.errors()[0]["msg"].removeprefix("Input ")
            raise UsageError(f"{LEARNING_RATE} = {rate!r}: {should}") from error


def _example(entry: Entry, searched: list[str], hyperparameters: dict[str, Option]) -> str:
    """Show how to fix an open place."""
    for name in searched:
        # The learning rate is usually shared, so it is shown where it is set for all methods.
        if name in hyperparameters and name != LEARNING_RATE:
            return f'{{name = "{entry.name}", {name} = {_toml(hyperparameters[name])}}}'
    fields = [name for name in searched if "." in name]
    return f"give {fields[0]} one value" if fields else "training.learning_rate = 0.001"


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:.3g}" if isinstance(value, float) else str(value).lower()
