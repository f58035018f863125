"""Create files for a new method, dataset or network: the plug-in, a test and a study."""

import builtins
import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import Literal

from ..datasets import datasets
from ..datasets.errors import UsageError
from ..methods import methods, references
from .rundir.files import refusing
from .specs.spec import TRUTH

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def scaffold(
    kind: Literal["method", "dataset", "network"], name: str, folder: Path | None = None
) -> list[Path]:
    """Write ``NAME.py``, ``test_NAME.py`` and ``NAME.toml``; return them in this order.

    The plug-in has this name in the registry. The folder is the current one by default.

    Raises:
        UsageError: The name is taken or invalid, or a file exists already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a Python file: use small letters, digits and _, "
            "starting with a letter"
        )
    for word in (name, title_of(name)):
        if keyword.iskeyword(word) or keyword.issoftkeyword(word) or hasattr(builtins, word):
            raise UsageError(f"{word!r} is a word of Python: choose another name")
    # Labels of methods and of reference rows stand in one column.
    taken = {"method": {*methods.builtin, *references.builtin, TRUTH}, "dataset": datasets.builtin}
    if name in taken.get(kind, ()):
        raise UsageError(f"a {kind} {name!r} exists already: choose another name")
    folder = folder or Path()
    paths = [folder / f"{name}.py", folder / f"test_{name}.py", folder / f"{name}.toml"]
    for path in paths:
        if path.exists():
            raise UsageError(f"{str(path)!r} already exists and was not overwritten")
    if importlib.util.find_spec(name) is not None:
        raise UsageError(f"{name!r} is a Python module already: choose another name")
    sources = files("scorebench.studies").joinpath("templates")
    templates = [f"{kind}.py.txt", f"{kind}_test.py.txt", f"{kind}.toml.txt"]
    with refusing(folder, "write"):
        for path, template in zip(paths, templates, strict=True):
            text = sources.joinpath(template).read_text(encoding="utf-8")
            text = text.replace("NAME", name).replace("Name", title_of(name))
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    return paths


def title_of(name: str) -> str:
    """Return the name of a plug-in's class."""
    return "".join(part.capitalize() for part in name.split("_"))
