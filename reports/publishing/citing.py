"""The works behind a study: its methods, datasets, samplers, metrics, searchers and statistics.

Docstrings of built-in plug-ins name their sources as "Vincent 2011" or "Song et al. 2019", and
``references.bib`` has an entry for each. A plug-in file of one's own states its source and licence
in two constants, which are read without executing the file:

    __citation__ = "@article{...}"
    __license__ = "CC-BY-4.0"
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ...bench.environment import version_of
from ...bench.metrics import metrics
from ...datasets import datasets
from ...datasets.registry import Registry
from ...methods import methods, references, samplers
from ...studies.specs.spec import StudySpec

_ENTRY = re.compile(r"^@\w+\{(?P<key>\w+),.*\}$", re.MULTILINE)
_FIELD = r"\b{} = \{{(.*?)\}}(?=[,}}])"

SOFTWARE = (
    "@software{scorebench, title = {scorebench: tune, compare and reproduce score-matching methods "
    f"on toys with exact truth}}, version = {{{version_of('scorebench')}}}}}"
)
"""BibTeX entry of this package."""


class Reference(NamedTuple):
    """An entry of ``references.bib``.

    Attributes:
        key: BibTeX key.
        text: The entry.
        phrases: Forms in which texts cite it.
        keywords: What it is for, besides the plug-ins that cite it.
    """

    key: str
    text: str
    phrases: tuple[str, ...]
    keywords: tuple[str, ...]


class Credit(NamedTuple):
    """The sources of one thing that a study uses.

    Attributes:
        kind: ``method``, ``dataset``, ``sampler``, ``metric``, ``searcher``, ``statistics`` or
            ``software``.
        name: Its name.
        entries: BibTeX entries; none if no publication is known.
        own: Whether it comes from a plug-in file of the study.
        license: Licence that such a file states; empty if it states none.
    """

    kind: str
    name: str
    entries: tuple[str, ...]
    own: bool = False
    license: str = ""


@cache
def bibliography() -> tuple[Reference, ...]:
    """Read ``references.bib``."""
    text = (Path(__file__).parent / "references.bib").read_text(encoding="utf-8")
    return tuple(_reference(match[0], match["key"]) for match in _ENTRY.finditer(text))


def _reference(text: str, key: str) -> Reference:
    authors, year, keywords = (_field(text, name) for name in ("author", "year", "keywords"))
    names = [author.split(",")[0] for author in authors.split(" and ")]
    forms = [" and ".join(names)] if len(names) < 3 else [f"{names[0]} et al."]
    if len(names) == 3:
        forms.append(f"{names[0]}, {names[1]} and {names[2]}")
    phrases = tuple(f"{form} {year}" for form in forms)
    return Reference(key, text, phrases, tuple(filter(None, keywords.split(", "))))


def _field(text: str, name: str) -> str:
    found = re.search(_FIELD.format(name), text)
    return found[1] if found else ""


def cited_in(text: str) -> list[Reference]:
    """Return the works that a text cites, in the order of the bibliography."""
    words = re.sub(r"\s+", " ", text.replace("(", ""))
    return [entry for entry in bibliography() if any(phrase in words for phrase in entry.phrases)]


def credits_of(study: StudySpec) -> list[Credit]:
    """Return the sources of everything that a study uses, without repetition."""
    return list(dict.fromkeys([*_of_plugins(study), *_of_search(study), *_of_software()]))


def _of_plugins(study: StudySpec) -> Iterator[Credit]:
    further = [entry.name for entry in study.evaluation.also]
    used: tuple[tuple[Registry[Any], list[str]], ...] = (
        (methods, [entry.name for entry in study.methods if entry.name in methods]),
        (references, [entry.name for entry in study.methods if entry.name in references]),
        (datasets, [entry.name for entry in study.datasets]),
        (samplers, [entry.name for entry in study.samplers] + further),
        (metrics, [study.evaluation.metric(label) for label in study.evaluation.metrics]),
    )
    for registry, names in used:
        for name in dict.fromkeys(names):
            plugin = registry.get(name)
            own = name not in registry.builtin
            module = sys.modules.get(getattr(plugin, "__module__", ""))
            if own:
                yield _own(registry.kind, name, module)
            else:
                texts = inspect.getdoc(plugin) or "", inspect.getdoc(module) or ""
                entries = tuple(entry.text for entry in cited_in(" ".join(texts)))
                yield Credit(registry.kind, name, entries)


def _own(kind: str, name: str, module: ModuleType | None) -> Credit:
    """Read the constants of the plug-in file or installed module that registers a name."""
    # The text that was trusted, not what its execution made of it.
    source = getattr(module, "__source__", None)
    stated = vars(module) if source is None and module is not None else constants(source or "")
    citation, license_ = (str(stated.get(key, "")) for key in ("__citation__", "__license__"))
    return Credit(kind, name, (citation,) if citation else (), True, license_)


def constants(code: str) -> dict[str, str]:
    """Return the module-level text constants of a source, without executing it."""
    found = {}
    for node in ast.parse(code).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
    return found


def _of_search(study: StudySpec) -> Iterator[Credit]:
    for searcher in study.search.sampler:
        yield Credit("searcher", searcher.name, _with_keyword(f"searcher:{searcher.name}"))
    if study.search.restarts > 1:
        yield Credit("statistics", "restarts", _with_keyword("statistics:restarts"))
    if study.decide is not None:
        yield Credit("statistics", "until decided", _with_keyword("statistics:decide"))


def _of_software() -> Iterator[Credit]:
    yield Credit("software", "scorebench", (SOFTWARE,))
    yield Credit("software", "Optuna and PyTorch", _with_keyword("software"))


def _with_keyword(keyword: str) -> tuple[str, ...]:
    return tuple(entry.text for entry in bibliography() if keyword in entry.keywords)


def bibtex(study: StudySpec) -> str:
    """Write the works behind a study as BibTeX, each entry under a comment that says for what."""
    uses: dict[str, list[str]] = {}
    for credit in credits_of(study):
        for entry in credit.entries:
            uses.setdefault(entry, []).append(f"{credit.kind} {credit.name}")
    return "".join(f"% {', '.join(names)}\n{entry}\n\n" for entry, names in uses.items())


def uncited(study: StudySpec) -> list[str]:
    """Name what a study uses and has no publication."""
    return [f"{c.kind} {c.name}" for c in credits_of(study) if not c.entries]
