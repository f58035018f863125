"""Training curves and pictures of a study as TensorBoard event files."""

import importlib
import io
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..datasets.errors import UsageError
from ..studies.rundir.files import refuse_links, refusing
from .figures.panels import four_panels
from .figures.style import encode
from .source import Learned, Source

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"


def write_tensorboard(source: Source) -> Path:
    """Write the training curves of every confirmed run and the four panels of every cell.

    A run ``METHOD/DATASET/SAMPLER`` per cell, with ``loss/REPLICATE``, ``gradient/REPLICATE``,
    ``excess/REPLICATE`` where the smallest possible loss is known and ``METRIC/REPLICATE`` at
    checkpoints, by training step; the confirmed mean of the ranking metric; and the picture.
    Earlier event files are replaced.

    Returns:
        The folder for ``tensorboard --logdir``.

    Raises:
        UsageError: TensorBoard is not installed, the run directory holds links, or the files cannot
            be written.
    """
    require_tensorboard()
    with refusing(source.directory / FOLDER, "write"):
        return _write(source)


def require_tensorboard() -> None:
    """Raise ``UsageError`` if TensorBoard is not installed."""
    try:
        importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise UsageError(
            "TensorBoard is not installed: pip install 'scorebench[tensorboard]'"
        ) from error


def _write(source: Source) -> Path:
    from PIL import Image
    from torch.utils.tensorboard import SummaryWriter

    refuse_links(source.directory)
    target = source.directory / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    for dataset in source.evidence.datasets:
        learned = source.training(dataset)
        for contestant in source.evidence.contestants:
            results = contestant.cells[dataset]
            if results.missing:
                continue
            with SummaryWriter(str(target.joinpath(*results.cell.labels))) as writer:
                if contestant.label in learned:
                    _write_curves(writer, learned[contestant.label])
                writer.add_scalar(f"confirmed/{results.objective}", results.mean, 0)
                portrait = source.portrait(results)
                if portrait is not None:
                    title = f"{results.method} on {results.dataset}, {results.sampler}"
                    data = encode(four_panels(portrait, title), "png", dpi=100)
                    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                    writer.add_image("panels", pixels, 0, dataformats="HWC")
    return target


def _write_curves(writer: "SummaryWriter", learned: Learned) -> None:
    for number, curve in enumerate(learned.curves):
        for step, loss, norm in curve:
            writer.add_scalar(f"loss/{number}", loss, int(step))
            writer.add_scalar(f"gradient/{number}", norm, int(step))
            if math.isfinite(learned.least):
                writer.add_scalar(f"excess/{number}", loss - learned.least, int(step))
    for number, rows in enumerate(learned.checkpoints):
        for step, *values in rows:
            for name, value in zip(learned.names, values, strict=True):
                writer.add_scalar(f"{name}/{number}", value, int(step))
