"""The texts of a published folder: data card, licence, and the checklists that reviewers use."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...datasets import datasets
from ..source import Source
from .citing import Credit
from .metadata import About

LIMITS = (
    "Toy distributions in few dimensions whose truth is known exactly; networks and budgets are "
    "small. A method that leads here need not lead on images, text or other real data, nor with "
    "other budgets, networks or search ranges."
)
"""What the numbers do not show."""

_AUTHOR = "**for the author**"


def license_text(about: About, credited: Sequence[Credit], data_license: str) -> str:
    """State the licence of each part of the folder."""
    own = [
        f"- the plug-in file of the {credit.kind} {credit.name}: {credit.license}"
        for credit in credited
        if credit.own
    ]
    points = [f"- files of points that the study uses: {data_license}"] if data_license else []
    return "\n".join(
        [
            f"- results, tables, figures and reference samples: {about.license}",
            "- the software scorebench, which made them: MIT",
            *own,
            *points,
            "",
        ]
    )


def data_card(
    source: Source, about: About, frozen: Sequence[str], uncited: Sequence[str], answer: str
) -> str:
    """Describe the folder, its data, their making, use and limits, in Markdown."""
    study = source.study
    sets = [
        f"- **{entry.label}**: "
        + datasets.summary(entry.name).replace("``", "`")
        + (
            f" `reference/{entry.label}.csv` holds a frozen sample; its SHA-256 is in"
            " `croissant.json`."
            if entry.label in frozen
            else " A finite set of points, not copied here but for what `study.toml` holds."
        )
        for entry in study.datasets
    ]
    without = f"Without a publication: {', '.join(uncited)}.\n\n" if uncited else ""
    return (
        f"""# {study.name}

{about.description} {answer}

| file | content |
|---|---|
| `results.csv`, `results.parquet` | every run, failed ones too: one row each |
| `tables/`, `figures/` | leaderboard, cells and pairs as LaTeX and CSV; figures as PDF |
| `REPORT.md` | the whole report as text |
| `{study.name}.zip` | the archive that `scorebench replay {study.name}.zip --all` verifies |
| `study.toml` | the study: `scorebench run study.toml` makes everything anew |
| `reference/` | frozen samples of the true distributions |
| `references.bib` | the works behind methods, datasets, samplers, metrics and statistics |
| `environment.json`, `requirements.txt` | machines and packages of the runs |
| `croissant.json`, `ro-crate-metadata.json` | the same for programs |
| `CHECKLIST.md` | what reviewers ask, answered as far as the study can |

## Data

{chr(10).join(sets)}

## How the numbers were made

{about.collection}

## Use and limits

{LIMITS}

## Licence and works to cite

See `LICENSE.txt` and `references.bib`. {without}
""".rstrip()
        + "\n"
    )


class Item(NamedTuple):
    """A question of a checklist and its answer; without one it is the author's."""

    question: str
    answer: str = _AUTHOR


def checklist(source: Source, about: About) -> str:
    """Answer what reviewers ask, as far as the study can; the rest is marked as the author's."""
    lists = {
        "NeurIPS, Evaluations & Datasets": _neurips(source, about),
        "BetterBench (Reuel et al. 2024)": _better_bench(source),
    }
    parts = [f"# Checklists for {about.name}\n"]
    for title, items in lists.items():
        rows = "".join(f"| {item.question} | {item.answer} |\n" for item in items)
        parts.append(f"## {title}\n\n| question | answer |\n|---|---|\n{rows}")
    return "\n".join(parts)


def _seeds(source: Source) -> str:
    search, confirm = source.study.search, source.study.confirm
    return f"{search.restarts} restarts with {confirm.seeds} seeds each"


def _neurips(source: Source, about: About) -> Iterator[Item]:
    failed = int((source.results["state"] != "ok").sum())
    yield Item("Do the claims match the results?", f"`REPORT.md` states them: {about.description}")
    yield Item("Are the limits discussed?", "`README.md`, *Use and limits*")
    yield Item("Assumptions and proofs of theory")
    yield Item(
        "Can the main results be reproduced?",
        f"to the bit on one kind of CPU: `scorebench replay {about.name}.zip --all`",
    )
    yield Item("Open access to data and code", f"this folder; data under {about.license}, code MIT")
    yield Item("Are all settings given?", "`study.toml`, with every default written out")
    yield Item(
        "Statistical significance",
        f"{_seeds(source)}; 95 % intervals, tests of all pairs jointly, noise floor",
    )
    yield Item("Compute", "seconds of each run in `results.csv`; machines in `environment.json`")
    yield Item(
        "Are failures reported?", f"yes: {failed} rows of {len(source.results)}, with reasons"
    )
    yield Item("Code of ethics, broader impacts, safeguards")
    yield Item("Licences of assets", "`LICENSE.txt`; works in `references.bib`")
    yield Item("New assets documented?", "`README.md`, `croissant.json` with RAI fields")
    yield Item("Human subjects, crowdsourcing", "none")
    yield Item("Use of language models in the research")
    yield Item("Hosting and long-term preservation")


def _better_bench(source: Source) -> Iterator[Item]:
    study = source.study
    yield Item("Purpose and scope stated", "`README.md`")
    yield Item("What is measured, and how a score is to be read", "`REPORT.md`, *Protocol*")
    yield Item("Intended users and use cases")
    yield Item(
        "Floors and ceilings of the metric",
        f"noise floor from {study.reference.floors} samples of the truth; references: "
        f"{', '.join(study.reference.labels) or 'none'}",
    )
    yield Item("Human performance", "does not apply")
    yield Item(
        "Is tuning kept apart from evaluation?",
        "validation truth for the search, test truth once, for the confirmation",
    )
    yield Item("Uncertainty of scores and ranks", f"yes, over {_seeds(source)}")
    yield Item("Automatic evaluation", "`scorebench run study.toml`")
    yield Item("Code to reproduce the results", f"`{study.name}.zip`, `requirements.txt`")
    yield Item("Test data kept from training", "drawn from other random streams than training data")
    yield Item("Contamination of pre-trained models", "does not apply: all models start untrained")
    yield Item("Quick check of an installation", "`scorebench finding selftest`")
    yield Item("Version and date", f"1.0.0, {study.name}; format of the archive in `format.json`")
    yield Item("Limits documented", "`README.md`")
    yield Item("Peer review, contact, feedback, maintenance and retirement")
