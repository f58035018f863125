"""Machine-readable descriptions of a published folder: Croissant 1.1 with RAI fields, RO-Crate 1.1.

Croissant: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, and its vocabulary for
responsible AI (RAI). RO-Crate: https://www.researchobject.org/ro-crate/specification/1.1/.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

CROISSANT, CRATE = "croissant.json", "ro-crate-metadata.json"

TYPES = {
    ".csv": "text/csv", ".parquet": "application/vnd.apache.parquet", ".json": "application/json",
    ".toml": "application/toml", ".zip": "application/zip", ".pdf": "application/pdf",
    ".tex": "application/x-tex", ".bib": "application/x-bibtex", ".md": "text/markdown",
    ".txt": "text/plain",
}  # fmt: skip
"""Media types by the end of a file's name."""

_CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"}, "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isArray": "cr:isArray", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "name": {"@container": "@language"},
    "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip


@dataclass(frozen=True)
class About:
    """What a published folder is, in its author's words or the defaults.

    Attributes:
        name: Name of the study.
        description: What it compares, in a sentence.
        license: SPDX identifier.
        authors: Names; may be empty.
        date: Day of publication, as 2026-01-31.
        collection: How the numbers were made, for the RAI fields.
        limits: What they do not show.
    """

    name: str
    description: str
    license: str
    authors: tuple[str, ...]
    date: str
    collection: str
    limits: str


def croissant(
    about: About, files: Mapping[str, bytes], tables: Mapping[str, tuple[pd.DataFrame, str]]
) -> str:
    """Describe files, and the columns of CSV tables, as Croissant.

    Args:
        about: What the folder is.
        files: Content by path within the folder.
        tables: Table and its meaning, by path.
    """
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": about.name,
        "description": about.description,
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": about.license,
        "version": "1.0.0",
        "datePublished": about.date,
        "citeAs": f"{' and '.join(about.authors) or about.name} ({about.date[:4]}): {about.name}",
        "creator": [{"@type": "sc:Person", "name": name} for name in about.authors],
        "rai:dataCollection": about.collection,
        "rai:dataLimitations": about.limits,
        "rai:dataUseCases": "Comparison of training objectives on densities that are known "
        "exactly. Not evidence on images, text or other real data.",
        "rai:dataBiases": "The distributions were chosen by hand, for what they show of methods.",
        "rai:personalSensitiveInformation": "None: all points are drawn from formulas, unless the "
        "data card names files of points.",
        "distribution": [_file(path, content) for path, content in sorted(files.items())],
        "recordSet": [_records(path, *tables[path]) for path in sorted(tables)],
    }
    return _json(described)


def _file(path: str, content: bytes) -> dict[str, object]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{len(content)} B",
        "encodingFormat": TYPES["." + path.rsplit(".", 1)[-1]],
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _records(path: str, table: pd.DataFrame, meaning: str) -> dict[str, object]:
    record = path.removesuffix(".csv")
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{record}/{column}",
            "name": str(column),
            "dataType": _data_type(table[column]),
            "source": {"fileObject": {"@id": path}, "extract": {"column": str(column)}},
        }
        for column in table.columns
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": record,
        "name": record,
        "description": meaning,
        "field": fields,
    }


def _data_type(column: "pd.Series[Any]") -> str:
    if pd.api.types.is_bool_dtype(column):
        return "sc:Boolean"
    # A column of whole numbers with gaps is read as one of floats.
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return "sc:Integer"
    return "sc:Float" if pd.api.types.is_numeric_dtype(column) else "sc:Text"


def crate(about: About, files: Mapping[str, bytes]) -> str:
    """Describe files as an RO-Crate, which archives and repositories of papers read."""
    people: list[dict[str, object]] = [
        {"@id": f"#{name}", "@type": "Person", "name": name} for name in about.authors
    ]
    graph: list[dict[str, object]] = [
        {
            "@id": CRATE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": about.name,
            "description": about.description,
            "datePublished": about.date,
            "license": {"@id": about.license},
            "author": [{"@id": person["@id"]} for person in people],
            "hasPart": [{"@id": path} for path in sorted(files)],
        },
        {"@id": about.license, "@type": "CreativeWork", "name": about.license},
        *people,
    ]
    graph += [
        {
            "@id": path,
            "@type": "File",
            "name": path,
            "encodingFormat": TYPES["." + path.rsplit(".", 1)[-1]],
            "contentSize": str(len(content)),
        }
        for path, content in sorted(files.items())
    ]
    return _json({"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph})


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
