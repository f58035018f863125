"""Figures of a study: this package only draws; widths are in inches."""

import importlib
import os

try:
    importlib.import_module("matplotlib")
except ValueError:
    # MPLBACKEND names no backend; none is needed to draw into files.
    os.environ.pop("MPLBACKEND", None)
    importlib.import_module("matplotlib")
