"""Training curves and pictures of a study as TensorBoard event files."""

import io
import math
import shutil
from pathlib import Path

import numpy as np

from ..datasets.errors import UsageError
from .panels import four_panels
from .source import load
from .style import encode

FOLDER = "tensorboard"


def write_tensorboard(directory: str | Path) -> Path:
    """Write how every confirmed run learned and the four panels of every cell.

    A run ``METHOD/DATASET/SAMPLER`` per cell, with ``loss/REPLICATE``, ``gradient/REPLICATE``,
    ``excess/REPLICATE`` where the least loss is known and ``METRIC/REPLICATE`` at checkpoints, by
    training step; the confirmed value of the objective; and the picture. What was there before is
    replaced.

    Args:
        directory: A run directory.

    Returns:
        The folder to give to ``tensorboard --logdir``.

    Raises:
        UsageError: It is no run directory, or TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "TensorBoard is not installed: pip install 'scorebench[tensorboard]'"
        ) from error
    from PIL import Image

    source = load(directory)
    target = source.directory / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    for dataset in source.evidence.datasets:
        curves, least = source.training(dataset)
        names, checkpoints = source.checkpoints(dataset)
        for contestant in source.evidence.contestants:
            cell = contestant.cells[dataset]
            if cell.missing:
                continue
            with SummaryWriter(str(target.joinpath(*cell.place))) as writer:
                for number, curve in enumerate(curves.get(contestant.label, ())):
                    lowest = least[contestant.label]
                    for step, loss, norm in curve:
                        writer.add_scalar(f"loss/{number}", loss, int(step))
                        writer.add_scalar(f"gradient/{number}", norm, int(step))
                        if math.isfinite(lowest):
                            writer.add_scalar(f"excess/{number}", loss - lowest, int(step))
                for number, rows in enumerate(checkpoints.get(contestant.label, ())):
                    for step, *values in rows:
                        for name, value in zip(names, values, strict=True):
                            writer.add_scalar(f"{name}/{number}", value, int(step))
                writer.add_scalar(f"confirmed/{cell.objective}", cell.mean, 0)
                portrait = source.portrait(cell)
                if portrait is not None:
                    title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
                    data = encode(four_panels(portrait, title), "png", dpi=100)
                    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                    writer.add_image("panels", pixels, 0, dataformats="HWC")
    return target
