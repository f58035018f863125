"""Protocol of a study in words, and what an unfinished study lacks."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...studies.race import rounds
from ...studies.specs.entries import Entry, Leaf, Range, ends, is_open
from ...studies.specs.spec import StudySpec
from .. import text
from ..ranking.cell_results import losses
from ..ranking.searchers import of_first
from ..source import Source


def protocol(study: StudySpec, notes: Sequence[str] = ()) -> list[str]:
    """Describe how the numbers were made, one paragraph per step; ``notes`` are on the data."""
    training, network = study.training, study.network
    layers = (
        f"of {_among(network.depth)} hidden layers of {_among(network.width)} units "
        f"({_among(network.activation)})"
    )
    if network.module is not None:
        options = ", ".join(f"{name} = {value!r}" for name, value in network.options.items())
        layers = f"{network.module} ({options})" if options else str(network.module)
    article = "an" if network.kind[0] in "aeiou" else "a"
    rate = "a learning rate of" if is_open(training.learning_rate) else "the learning rate"
    samples = text.plural(study.evaluation.samples, "point")
    return [
        f"{_many(study.methods, 'method')}, {_many(study.datasets, 'dataset')} and "
        f"{_many(study.samplers, 'sampler')}. The objective is {study.objective.upper()} between "
        f"{samples} from the model and as many from the truth.",
        f"Every run fits {article} {network.kind} network {layers} with Adam, {rate} "
        f"{_among(training.learning_rate)}, for {_among(training.steps)} steps of "
        f"{_among(training.batch_size)} points.",
        _searched(study),
        f"The winner of each cell was trained {_times(study.confirm.seeds)} on seeds that no "
        "search used and scored on a test sample that no search saw. Only these confirmation runs "
        f"are ranked{_paired(study)}",
        *notes,
        f"References: the noise floor, {text.plural(study.reference.floors, 'further sample')} of "
        f"the truth scored like a model's; {_anchors(study)} with the same sampler, "
        f"{text.plural(study.reference.seeds, 'seed')} each. A failed run counts as the worst "
        f"value. {_intervals(study)}",
    ]


def _anchors(study: StudySpec) -> str:
    known = {"exact": "the exact score", "untrained": "an untrained network"}
    return text.listed([known.get(label, label) for label in study.reference.labels])


def _paired(study: StudySpec) -> str:
    if study.search.restarts > 1:
        return (
            f". All of this was done {study.search.restarts} times, each with other proposals, "
            "training data, seeds and truth: these restarts are what methods are compared by. "
            "Methods share the data and noise of each restart, so they are compared restart by "
            "restart."
        )
    return "; methods share the data and noise of each seed, so they are compared seed by seed."


def _intervals(study: StudySpec) -> str:
    if study.search.restarts > 1:
        return (
            "Intervals reflect the variation between restarts, hence that of searches and of "
            "seeds. Spreads of all cells inform each other (moderated variances, Smyth 2004), "
            "tests and intervals allow for skewness (Hall 1992), and claims hold jointly at 95 % "
            "(Shaffer 1986)."
        )
    return (
        "Intervals reflect seed variation, not search variation: another search may choose other "
        "configurations. They are Student's t at 95 %; those behind ranks hold for all pairs "
        "jointly (Bonferroni)."
    )


def _among(leaf: Leaf) -> str:
    """Format a value, or the values that are searched."""
    if isinstance(leaf, Range):
        return f"{leaf.low:g} to {leaf.high:g}"
    return " or ".join(
        f"{value:g}" if isinstance(value, float) else str(value) for value in ends(leaf)
    )


def missing(source: Source) -> list[str]:
    """Describe what the study lacks until it is finished, one sentence each."""
    study, results = source.study, of_first(source.results)
    sentences = []
    confirmed = results[results["phase"] == "confirm"]
    counts = confirmed.groupby(["method", "dataset", "sampler"]).size().to_dict()
    empty = [cell for cell in source.planned if not counts.get(cell.labels)]
    planned = study.confirm.seeds * study.search.restarts
    partial = [cell for cell in source.planned if 0 < counts.get(cell.labels, 0) < planned]
    if empty:
        names = [f"{c.method} on {c.dataset} ({c.sampler})" for c in empty]
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        cells = text.plural(len(source.planned), "cell")
        sentences.append(
            f"Without a confirmation run: {len(empty)} of {cells}: {', '.join(names[:6])}{more}."
        )
    if partial:
        sentences.append(
            f"With fewer than the planned {text.plural(planned, 'confirmation run')}: "
            f"{text.plural(len(partial), 'cell')}."
        )
    floors = results[(results["phase"] == "reference") & (results["method"] == "truth")]
    measured = set(floors["dataset"])
    without = [entry.label for entry in study.datasets if entry.label not in measured]
    if study.reference.floors and without:
        sentences.append(f"No noise floor yet on {text.listed(without)}.")
    return sentences


def unconfirmed(source: Source) -> list[str]:
    """Say of each cell without a confirmed value why there is none, one sentence each."""
    results, objective = source.results, source.study.objective
    confirmed = results[(results["phase"] == "confirm")]
    ended = confirmed[np.isfinite(losses(confirmed, objective))]
    with_value = set(ended[["method", "dataset", "sampler"]].itertuples(index=False, name=None))
    sentences = []
    for cell in source.planned:
        if cell.labels in with_value:
            continue
        method, dataset, sampler = cell.labels
        of_cell = results[["method", "dataset", "sampler"]].eq(cell.labels).all(axis=1)
        reasons = Counter(
            re.sub(r" step \d+", "", reason) for reason in results.loc[of_cell, "failure"] if reason
        )
        why = f"no value of {objective} is finite"
        if _none_feasible(results[of_cell]):
            why = f"no trial meets search.require: {', '.join(source.study.search.require)}"
        elif reasons:
            reason, count = reasons.most_common(1)[0]
            why = f"{count} of {text.plural(int(of_cell.sum()), 'run')}: {reason}"
        sentences.append(f"{method} on {dataset} ({sampler}) confirmed nothing ({why})")
    return sentences


def _none_feasible(rows: pd.DataFrame) -> bool:
    """Return whether a cell has trials that did not fail, and none of them may be chosen."""
    trials = rows[(rows["phase"] == "search") & (rows["state"] == "ok")]
    return len(trials) > 0 and "feasible" in rows and not trials["feasible"].any()


def run_again(source: Source) -> list[str]:
    """Tell the failed runs that were set aside and run again, one sentence each."""
    sentences = []
    for row in source.retried:
        cell, phase, trial, replicate = row.slot
        method, dataset, sampler = cell.labels
        number = f"replicate {replicate}" if trial is None else f"{trial}, replicate {replicate}"
        why = row.result.summary()["failure"]
        sentences.append(f"{phase} {number} of {method} on {dataset} ({sampler}): {why}")
    return sentences


def _searched(study: StudySpec) -> str:
    # Imported on first use: Optuna is slow to load.
    from ...studies.specs.searchers import about

    search = study.search
    named = text.listed([about(entry) for entry in search.sampler])
    if search.trials == 0:
        return "No search: the settings are those of the study file."
    sentence = (
        f"In each cell {named} {'each ' * (len(search.sampler) > 1)}tried "
        f"{text.plural(search.trials, 'configuration')}, {search.batch} at a time, scored on a "
        "validation sample."
    )
    if search.first:
        sentence += " Known configurations came first."
    if search.require:
        sentence += (
            f" Only configurations with {text.listed(list(search.require))} could be chosen."
        )
    if search.race is not None:
        raced = [stage for stage in rounds(search) if stage.runs]
        counts = [str(stage.configurations) for stage in raced for _ in stage.replicates]
        sentence += f" They raced over paired seeds: {text.listed(counts)} of them ran again."
    elif search.repeats and search.finalists > 1:
        sentence += (
            f" The best {search.finalists} were trained {_times(search.repeats)} more to choose "
            "the winner."
        )
    return sentence


def _many(entries: tuple[Entry, ...], noun: str) -> str:
    return f"{text.plural(len(entries), noun)} ({', '.join(entry.label for entry in entries)})"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
