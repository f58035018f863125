"""Figures of a study: this package only draws; widths are in inches."""

import importlib
import os
from contextlib import suppress

# Matplotlib cannot be imported while MPLBACKEND names no backend; to draw into files needs none.
_backend = os.environ.pop("MPLBACKEND", None)
_matplotlib = importlib.import_module("matplotlib")
if _backend is not None:
    os.environ["MPLBACKEND"] = _backend
    with suppress(ValueError):
        _matplotlib.rcParams["backend"] = _backend
