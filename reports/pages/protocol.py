"""What was run, in words, and what of it is not there yet."""

from ...bench.spec import NetworkSpec
from ...studies.specs.entries import Entry, Leaf, Range, ends, is_open
from ...studies.specs.spec import StudySpec
from .. import text
from ..source import Source


def protocol(study: StudySpec) -> list[str]:
    """How the numbers came about: one paragraph per step.

    Args:
        study: What was asked for.
    """
    training, network = study.training, study.network
    inside = (
        f"of {_among(network.depth)} hidden layers of {_among(network.width)} units "
        f"({_among(network.activation)})"
    )
    if network.module is not None:
        inside = _module(network)
    samples = text.plural(study.evaluation.samples, "point")
    return [
        f"{_many(study.methods, 'method')}, {_many(study.datasets, 'dataset')} and "
        f"{_many(study.samplers, 'sampler')}. The objective is {study.objective.upper()} between "
        f"{samples} from the model and as many from the truth.",
        f"Every run fits {_article(network.kind)} network {inside} with Adam, "
        f"{_learning(training.learning_rate)}, for {_among(training.steps)} steps of "
        f"{_among(training.batch_size)} points.",
        _searched(study),
        f"The winner of each cell was trained {_times(study.confirm.seeds)} on seeds that the "
        "search never used and scored on a truth sample that the search never saw. Only these "
        "runs are ranked; methods share the data and noise of each seed, so they are compared "
        "seed by seed.",
        f"For comparison: the floor, {text.plural(study.reference.floors, 'fresh sample')} of the "
        f"truth scored like a model's; the exact score and an untrained network with the same "
        f"sampler, {text.plural(study.reference.seeds, 'seed')} each. A failed run counts as the "
        "worst value. Intervals cover the luck of the seeds, not that of the search: another "
        "search may end at other configurations. They are Student's t at 95 %; those behind ranks "
        "hold for all pairs together (Bonferroni).",
    ]


def _learning(rate: Leaf) -> str:
    if is_open(rate):
        return f"a learning rate of {_among(rate)}"
    return f"the learning rate {_among(rate)}"


def _among(leaf: Leaf) -> str:
    """A value, or the values that are searched."""
    if isinstance(leaf, Range):
        return f"{leaf.low:g} to {leaf.high:g}"
    return " or ".join(
        f"{value:g}" if isinstance(value, float) else str(value) for value in ends(leaf)
    )


def _module(network: NetworkSpec) -> str:
    options = ", ".join(f"{name} = {value!r}" for name, value in network.options.items())
    return f"{network.module} ({options})" if options else str(network.module)


def missing(source: Source) -> list[str]:
    """What a finished study would have and this one has not, one sentence each.

    Args:
        source: The run directory.
    """
    study, results = source.study, source.results
    sentences = []
    confirmed = results[results["phase"] == "confirm"]
    counts = confirmed.groupby(["method", "dataset", "sampler"]).size().to_dict()
    empty = [place for place in source.planned if not counts.get(place)]
    partial = [p for p in source.planned if 0 < counts.get(p, 0) < study.confirm.seeds]
    if empty:
        names = [f"{method} on {dataset} ({sampler})" for method, dataset, sampler in empty]
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        sentences.append(
            f"Without a confirmed run: {len(empty)} of {text.plural(len(source.planned), 'cell')}: "
            f"{', '.join(names[:6])}{more}."
        )
    if partial:
        sentences.append(
            f"With fewer than the planned {text.plural(study.confirm.seeds, 'confirmed run')}: "
            f"{text.plural(len(partial), 'cell')}."
        )
    floors = results[(results["phase"] == "reference") & (results["method"] == "truth")]
    known = set(floors["dataset"])
    lacking = [e.label for e in study.datasets if e.label not in known]
    if study.reference.floors and lacking:
        sentences.append(f"No noise floor yet on {text.listed(lacking)}.")
    return sentences


def _searched(study: StudySpec) -> str:
    search = study.search
    if search.trials == 0:
        return "Nothing was tuned: the settings are those of the study file."
    kind = "Optuna's TPE" if search.sampler == "tpe" else "random search"
    said = (
        f"In each cell {kind} tried {text.plural(search.trials, 'configuration')}, "
        f"{search.batch} at a time, scored on a validation truth."
    )
    if search.repeats and search.finalists > 1:
        said += (
            f" The best {search.finalists} were trained {_times(search.repeats)} more to choose "
            "the winner."
        )
    return said


def _many(entries: tuple[Entry, ...], noun: str) -> str:
    return f"{text.plural(len(entries), noun)} ({', '.join(entry.label for entry in entries)})"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
