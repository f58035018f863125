"""The JSON schema of study files, for editors and for docs/studies.md.

``studies/schema.json`` is ``study_schema()``; ``python docs/generate.py`` writes it.
"""

import inspect
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...bench.data_files import DataFile
from ...bench.plugins import PluginFile
from .entries import Choices, Entry, Range
from .spec import StudySpec
from .tables import (
    Confirm,
    Decide,
    Limits,
    OpenNetwork,
    ReferenceRows,
    Registration,
    Search,
    StudyEvaluation,
    Training,
)

SCHEMA = Path(__file__).parents[1] / "schema.json"

_TABLES: tuple[type[BaseModel], ...] = (
    Training, Search, Confirm, Decide, Registration, ReferenceRows, StudyEvaluation, Limits,
    OpenNetwork, PluginFile, DataFile, Range, Choices,
)  # fmt: skip

_PUBLISHED: dict[type[BaseModel], str] = {
    OpenNetwork: "NetworkSpec",
    ReferenceRows: "Reference",
    StudyEvaluation: "Evaluation",
}
"""Names of tables in the schema, where the code has others."""


def study_schema() -> dict[str, object]:
    """Make the JSON schema (draft 2020-12) of study files."""
    schema = StudySpec.model_json_schema()
    # In a file, costs are listed after the objective.
    del schema["properties"]["costs"]
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    objective = schema["properties"]["objective"]
    schema["properties"]["objective"] = {"anyOf": [{"type": objective.pop("type")}, names]}
    tables: dict[str, Any] = schema["$defs"]
    for open_table in (Training, OpenNetwork):
        fields = tables[open_table.__name__]["properties"]
        fields |= {name: _or_open(fields[name]) for name in open_table.leaves()}
    schema["properties"]["decide"] = {"$ref": "#/$defs/Decide"}
    schema["properties"]["plan"] = {"$ref": "#/$defs/Registration"}
    searcher = tables["Search"]["properties"]["sampler"]
    several = {"type": "array", "items": searcher.pop("items"), "minItems": 1}
    del searcher["type"]
    searcher |= {"anyOf": [several["items"], several], "default": Search().model_dump()["sampler"]}
    tables["Entry"] = _entry(tables["Entry"])
    # In a file, tables stand among the names of the metrics.
    measured = tables["StudyEvaluation"]["properties"]
    measured["metrics"]["items"] = measured.pop("measures")["items"]
    _describe(schema, StudySpec)
    for model in _TABLES:
        _describe(tables[model.__name__], model)
    for table in (schema, *tables.values()):
        table.pop("title", None)
        for field in table.get("properties", {}).values():
            field.pop("title", None)
            if "$ref" in field:
                field.pop("default", None)
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "scorebench study"}
    text = json.dumps(about | schema)
    for model, name in _PUBLISHED.items():
        text = text.replace(model.__name__, name)
    published: dict[str, object] = json.loads(text)
    return published


def _or_open(field: dict[str, object]) -> dict[str, object]:
    """Allow a range or a list in place of the value of a field."""
    about: dict[str, object] = {
        key: field.pop(key) for key in ("default", "title", "description") if key in field
    }
    ranges = [] if "enum" in field else [{"$ref": "#/$defs/Range"}]
    return {"anyOf": [field, *ranges, {"type": "array", "items": field}], **about}


def _entry(written_out: dict[str, Any]) -> dict[str, Any]:
    """Describe an entry: its name, or a table with its name, a label and settings."""
    about = attributes(Entry)
    settings = written_out["properties"]["settings"]["additionalProperties"]
    settings = {"anyOf": [*settings["anyOf"], {"type": "array"}]}
    return {
        "description": summary(Entry),
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "description": about["name"]},
                    "label": {
                        "type": "string",
                        "pattern": "^[A-Za-z0-9_]+$",
                        "description": about["label"],
                    },
                },
                "additionalProperties": {**settings, "description": about["settings"]},
            },
        ],
    }


def _describe(table: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the descriptions of a class and its fields; inherited ones stand where they are made."""
    about: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        about |= attributes(parent)
    table["description"] = summary(model).partition("; see `")[0].rstrip(".") + "."
    for name, field in table["properties"].items():
        if name in about:
            field["description"] = about[name]


def summary(model: type[BaseModel]) -> str:
    """Give the first paragraph of a class's docstring."""
    return _joined(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0])


def attributes(model: type) -> dict[str, str]:
    """Give the descriptions of attributes in a class's docstring."""
    text = inspect.cleandoc(model.__doc__ or "")
    listed = re.split(r"^Attributes:$", text, maxsplit=1, flags=re.MULTILINE)[1:]
    items = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", listed[0] if listed else "", re.MULTILINE)
    return {name: _joined(description) for name, description in items}


def _joined(text: str) -> str:
    return " ".join(text.split()).replace("``", "`")
