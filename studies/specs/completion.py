"""Shell completion after `scorebench run` and after `-o`."""

import json
from collections.abc import Iterator
from typing import Any


def complete_study(incomplete: str) -> list[tuple[str, str]]:
    """List the packaged studies that begin with a text, with their summaries."""
    from .load import presets

    return [pair for pair in presets().items() if pair[0].startswith(incomplete)]


def complete_override(incomplete: str) -> list[tuple[str, str]]:
    """List the fields of a study that begin with a text, followed by =, with their meanings."""
    from .schema import SCHEMA

    fields = _fields(json.loads(SCHEMA.read_text(encoding="utf-8")))
    return [(f"{key}=", meaning) for key, meaning in fields if key.startswith(incomplete)]


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, field in schema["properties"].items():
        table = schema["$defs"].get(field.get("$ref", "").rpartition("/")[2])
        if table is None or "properties" not in table:
            yield name, field.get("description", "")
        else:
            for inner, about in table["properties"].items():
                yield f"{name}.{inner}", about.get("description", "")
