"""A first file, a test and a study for a method, dataset or network of one's own."""

import importlib.util
import re
from importlib.resources import files
from pathlib import Path
from typing import Literal

from ..datasets import datasets
from ..datasets.errors import UsageError
from ..methods import methods
from .rundir.files import refused

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def scaffold(
    kind: Literal["method", "dataset", "network"], name: str, folder: Path | None = None
) -> list[Path]:
    """Write ``NAME.py``, ``test_NAME.py`` and ``NAME.toml``.

    Args:
        kind: What it is to be.
        name: Its name in the registry and, with .py, its file's.
        folder: Where to write; the current folder unless given.

    Returns:
        The files, in this order.

    Raises:
        UsageError: The name is taken or cannot be one, or a file is there already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the name {name!r} becomes that of a Python file: write it with small letters, "
            "digits and _, a letter first"
        )
    taken = {"method": methods.builtin, "dataset": datasets.builtin}.get(kind, {})
    if name in taken:
        raise UsageError(f"there is a {kind} {name!r} already: choose another name")
    folder = folder or Path()
    paths = [folder / f"{name}.py", folder / f"test_{name}.py", folder / f"{name}.toml"]
    for path in paths:
        if path.exists():
            raise UsageError(f"{str(path)!r} is there already and is left as it is")
    if importlib.util.find_spec(name) is not None:
        raise UsageError(f"{name!r} is a Python module already: choose another name")
    texts = ["py", "test.py", "toml"]
    try:
        for path, text in zip(paths, texts, strict=True):
            template = f"{kind}_{text}.txt" if text == "test.py" else f"{kind}.{text}.txt"
            source = (
                files("scorebench.studies")
                .joinpath("templates", template)
                .read_text(encoding="utf-8")
            )
            path.write_text(
                source.replace("NAME", name).replace("Name", title_of(name)), encoding="utf-8"
            )
    except OSError as error:
        raise refused(folder, "write", error) from error
    return paths


def title_of(name: str) -> str:
    """What the class of a plug-in is called."""
    return "".join(part.capitalize() for part in name.split("_"))
