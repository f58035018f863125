"""Load a study from a packaged name or a TOML file, with ``key=value`` overrides."""

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from ...bench.data_files import carry_files
from ...bench.plugins import PluginFile, PluginSource, decoded
from ...bench.spec import PERCEPTRON
from ...datasets.errors import UsageError, unknown
from ..engine import Engine
from ..trust import trust
from .carry import carry
from .check import settled
from .entries import reason, short
from .first import carry_winners
from .spec import StudySpec
from .warm import carry_trials

STUDY = "study.toml"
ROWS = "runs.jsonl"
"""Names of the files that mark a run directory: its study and its table of runs."""

PRESETS = Path(__file__).parents[1] / "presets"

_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+[A-Za-z][A-Za-z0-9_-]*")


def presets() -> dict[str, str]:
    """List the packaged studies: summary (first comment line) by name."""
    return {path.stem: _summary(path) for path in sorted(PRESETS.glob("*.toml"))}


def _summary(path: Path) -> str:
    return path.read_text(encoding="utf-8").split("\n")[0].lstrip("# ")


def load_study(
    name_or_path: str | Path, overrides: Sequence[str] = (), engine: Engine | None = None
) -> StudySpec:
    """Read and check a study.

    The plug-in files and modules that it names are trusted and imported. Text of plug-ins that it
    contains, as in a run directory, must have been trusted before.

    Args:
        name_or_path: Name of a packaged study (``"quick"``) or path of a TOML file.
        overrides: ``key=value`` pairs; keys are dotted (``training.steps``), values are TOML,
            a bare word being a string.
        engine: Where hyperparameters and options are looked up (default: the real one).

    Raises:
        UsageError: The study cannot be read or run, or contains code that is not trusted; one line
            says why.
    """
    study, named = _composed(name_or_path, overrides)
    trust(named)
    return settled(study, engine or Engine())


def read_study_file(name_or_path: str | Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read a study without checking it; arguments and errors are like those of ``load_study``.

    Nothing that the study names is imported.
    """
    return _composed(name_or_path, overrides)[0]


def checked(
    data: dict[str, object], source: str, folder: Path, engine: Engine | None = None
) -> StudySpec:
    """Make a study of the tables of a file called ``source``, and check that it can be run.

    Paths of its plug-in files start from the folder. Code that the tables name is trusted.

    Raises:
        UsageError: The study cannot be read or run; one line says why.
    """
    inside = _inside(data)
    study = _collected(data, source, folder)
    trust(code for code in study.code if code not in inside)
    return settled(study, engine or Engine())


def _composed(
    name_or_path: str | Path, overrides: Sequence[str]
) -> tuple[StudySpec, list[PluginSource]]:
    """Read a study; return it, and the code that the user named."""
    text, source, folder = _read(str(name_or_path))
    data = _toml(text, source)
    of_a_run = folder is not None and (folder / ROWS).exists()
    folder = folder or Path()
    # A run directory may be anybody's: what its study names was not written by this user.
    others = _collected(copy.deepcopy(data), source, folder).code if of_a_run else _inside(data)
    changed = parse_overrides(overrides)
    _drop_perceptron(data, {override.key for override in changed})
    for override in changed:
        _apply(data, override)
    study = _collected(data, source, folder)
    return study, [code for code in study.code if code not in others]


def _inside(data: dict[str, object]) -> list[PluginSource]:
    """The plug-ins whose text a study file contains, instead of naming a file of the user's."""
    given = data.get("plugins")
    texts = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    try:
        return [PluginFile.model_validate(item) for item in texts]
    except ValidationError:
        return []  # refused when the study is parsed


def _collected(data: dict[str, object], source: str, folder: Path) -> StudySpec:
    """Make a study that contains the text of its files."""
    data = carry(data, folder)
    carry_files(data, folder)
    return carry_trials(carry_winners(parse(data, source), folder), folder)


def parse(data: Mapping[str, object], source: str) -> StudySpec:
    """Validate the tables of a study file called ``source``; names are not looked up.

    Raises:
        UsageError: A field is unknown, missing or impossible.
    """
    try:
        return StudySpec.model_validate(data, strict=True)
    except ValidationError as error:
        raise UsageError(f"{source}: {_explain(error)}") from error


def _drop_perceptron(data: dict[str, object], keys: Set[str]) -> None:
    """Remove the perceptron's fields if an override replaces the network by a module."""
    network = data.get("network")
    if "network.module" in keys and isinstance(network, dict):
        for name in PERCEPTRON:
            network.pop(name, None)


def _read(name: str) -> tuple[str, str, Path | None]:
    """Give the text of a study, its name in errors, and its folder unless it is packaged."""
    path: Path = Path(name)
    if _is_run_directory(name):
        path /= STUDY
    folder: Path | None = path.parent
    packaged = PRESETS / f"{name}.toml"
    if re.fullmatch(r"[A-Za-z0-9_-]+", name) and packaged.is_file():
        path, folder = packaged, None
    elif not name or (path.suffix != ".toml" and not _exists(path)):
        raise unknown("study", name, presets())
    try:
        return decoded(path.read_bytes()), f"study {name}", folder
    except IsADirectoryError as error:
        raise UsageError(
            f"the study file {name!r} cannot be read: it is a directory without {STUDY}"
        ) from error
    except FileNotFoundError as error:
        known = ", ".join(presets())
        raise UsageError(f"unknown study file {name!r} (packaged studies: {known})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the study file {name!r} is not text in UTF-8") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"the study file {name!r} cannot be read: {why}") from error


def default_directory(source: str | Path | StudySpec, study: StudySpec) -> Path:
    """Return the run directory that a study was given by, else ``runs/NAME``."""
    if isinstance(source, StudySpec) or not _is_run_directory(source):
        return Path("runs") / study.name
    return Path(source)


def _is_run_directory(name: str | Path) -> bool:
    return str(name) not in presets() and _exists(Path(name) / STUDY)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _toml(text: str, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    # The parser also raises errors of int(), datetime and the stack.
    except (ValueError, RecursionError) as error:
        detail = str(error).split("\n")[0] or "too deeply nested"
        raise UsageError(f"{source} is not valid TOML: {detail}") from error


class Override(NamedTuple):
    """A field and its new value, with the text of the override."""

    key: str
    value: object
    text: str


def parse_overrides(texts: Sequence[str]) -> list[Override]:
    """Parse ``key=value`` pairs.

    Raises:
        UsageError: A text is not of that form, or two contradict each other.
    """
    overrides: dict[str, Override] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not _KEY.fullmatch(key):
            raise UsageError(
                f"the override {text!r} is not of the form key=value, "
                "for example training.steps=500"
            )
        new = Override(key, _value(text, value.strip()), text)
        old = overrides.get(key)
        if old and (type(old.value) is not type(new.value) or old.value != new.value):
            raise UsageError(f"the overrides {old.text!r} and {new.text!r} contradict each other")
        overrides[key] = new
    for key in overrides:
        parts = key.split(".")
        for n in range(1, len(parts)):
            parent = overrides.get(".".join(parts[:n]))
            if parent is not None:
                texts = f"{parent.text!r} and {overrides[key].text!r}"
                raise UsageError(
                    f"the overrides {texts} contradict each other: {key} is part of {parent.key}"
                )
    return list(overrides.values())


def _value(text: str, value: str) -> object:
    try:
        data = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        data = {}
    if set(data) == {"value"}:
        return data["value"]
    if _BARE.fullmatch(value):
        return value
    raise UsageError(
        f"the value in the override {text!r} is not valid TOML: "
        "strings need quotes, numbers a leading digit, lists brackets, "
        'for example datasets=["rings"]'
    )


def _apply(data: dict[str, object], override: Override) -> None:
    *parents, last = override.key.split(".")
    table = data
    for depth, name in enumerate(parents):
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            # A number may become a range table, but a part of a list cannot be set by a key.
            if isinstance(inner, list):
                path = ".".join(parents[: depth + 1])
                raise UsageError(
                    f"the override {override.text!r}: {path} is a list, give the whole list"
                )
            inner = table[name] = {}
        table = inner
    table[last] = override.value


def _explain(error: ValidationError) -> str:
    """Describe the first error in one line: the field, its value and a possible one."""
    # Unknown fields first: a misspelt field often also shows up as a missing one.
    first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    place = [str(part) for part in first["loc"]]
    where = ".".join(place)
    if first["type"] == "extra_forbidden":
        known = _fields(place[:-1])
        return str(unknown("field", where, known))
    if first["type"] == "missing":
        return f"the field {where} is missing"
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ValueError):
        return reason(inner) if not where else f"{where}: {reason(inner)}"
    expected = first["msg"].removeprefix("Input ").replace("a valid tuple", "a list")
    if first["type"].startswith(("model", "dict")):
        expected = "should be a table"
    return f"{where} = {short(first['input'])} {expected}"


def _fields(place: Sequence[str]) -> list[str]:
    """Give the full names of the fields of a table."""
    model: Any = StudySpec
    for part in place:
        field = model.model_fields.get(part)
        model = field.annotation if field is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    prefix = "".join(f"{part}." for part in place)
    return [prefix + name for name in model.model_fields]
