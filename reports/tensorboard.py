"""Training curves and pictures of a study as TensorBoard event files."""

import io
import shutil
from pathlib import Path

import numpy as np

from ..datasets.errors import UsageError
from .panels import four_panels
from .source import load
from .style import encode

FOLDER = "tensorboard"


def write_tensorboard(directory: str | Path) -> Path:
    """Write the losses of every confirmed run and the four panels of every cell.

    A run ``METHOD/DATASET/SAMPLER`` per cell, with ``loss/REPLICATE`` by training step, the
    confirmed value of the objective, and the picture. What was there before is replaced.

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
        curves, _ = source.training(dataset)
        for contestant in source.evidence.contestants:
            cell = contestant.cells[dataset]
            if cell.missing:
                continue
            with SummaryWriter(str(target.joinpath(*cell.place))) as writer:
                for number, curve in enumerate(curves.get(contestant.label, ())):
                    for step, loss in curve:
                        writer.add_scalar(f"loss/{number}", loss, int(step))
                writer.add_scalar(f"confirmed/{cell.objective}", cell.mean, 0)
                portrait = source.portrait(cell)
                if portrait is not None:
                    title = f"{cell.method} on {cell.dataset}, {cell.sampler}"
                    data = encode(four_panels(portrait, title), "png", dpi=100)
                    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                    writer.add_image("panels", pixels, 0, dataformats="HWC")
    return target
