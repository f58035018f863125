"""A perceptron for sharp structure: ``network.module = "scorebench.methods.fourier:Fourier"``."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


class Fourier(nn.Module):
    """A perceptron with sines and cosines of its inputs as further inputs.

    Perceptrons learn slow variation long before fast variation; with sin(2ᵏπx) and cos(2ᵏπx) as
    inputs they learn both at similar speed (Tancik et al. 2020, "Fourier features let networks
    learn high frequency functions in low dimensional domains"; here one feature per axis and
    octave).

    Args:
        inputs: Number of input columns.
        outputs: Number of output columns.
        width: Units of each hidden layer.
        depth: Hidden layers.
        octaves: Number of frequencies, k = 0, 1, …
    """

    frequencies: Tensor

    def __init__(
        self, inputs: int, outputs: int, width: int = 64, depth: int = 3, octaves: int = 4
    ) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.arange(octaves))
        sizes = [inputs * (1 + 2 * octaves), *[width] * depth]
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map points (B, inputs) to (B, outputs)."""
        angle = (math.pi * x.unsqueeze(-1) * self.frequencies).flatten(1)
        out: Tensor = self.layers(torch.cat([x, angle.sin(), angle.cos()], 1))
        return out
