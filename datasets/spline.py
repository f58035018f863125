"""Cubic splines of a few functions of one variable: values and densities that are slow, made fast.

Every value depends on its own place alone, bit for bit.
"""

import torch
from torch import Tensor


class Spline:
    """Splines through ``values``, (nodes, functions), at ``low`` + ``step``·(0, 1, 2, …).

    Beyond the ends they continue as in the cells there.
    """

    def __init__(self, low: float, step: float, values: Tensor) -> None:
        from scipy.interpolate import CubicSpline

        cubic = CubicSpline(range(len(values)), values.numpy()).c.transpose(1, 0, 2)
        self._low, self._step = low, step
        self._cubic = torch.from_numpy(cubic).contiguous()

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute each function at places of any shape."""
        place = (x - self._low) / self._step
        cell = place.long().clamp(0, len(self._cubic) - 1)
        t = (place - cell)[..., None]
        third, second, first, value = self._cubic[cell].unbind(-2)
        return (((third * t + second) * t + first) * t + value).unbind(-1)
