"""The perceptron with Fourier features: its formula, and what it is for."""

import math

import pytest
import torch
from scorebench.methods.fourier import Fourier
from scorebench.methods.testing import NetworkConformance
from torch import nn


class TestFourier(NetworkConformance):
    make = Fourier


@pytest.mark.parametrize(("inputs", "octaves"), [(2, 3), (3, 1), (1, 0)])
def test_it_is_a_perceptron_of_sines_and_cosines(inputs, octaves):
    torch.manual_seed(3)
    network = Fourier(inputs, 2, width=7, depth=2, octaves=octaves).double()
    x = torch.randn(5, inputs, dtype=torch.float64)
    columns = [x[:, i] for i in range(inputs)]
    for wave in (torch.sin, torch.cos):
        columns += [wave(math.pi * 2**k * x[:, i]) for i in range(inputs) for k in range(octaves)]
    h = torch.stack(columns, 1)
    (first, second, last) = (layer for layer in network.layers if isinstance(layer, nn.Linear))
    for layer in (first, second):
        a = h @ layer.weight.T + layer.bias
        h = a / (1 + torch.exp(-a))
    assert torch.allclose(network(x), h @ last.weight.T + last.bias, rtol=1e-12, atol=1e-12)


def test_sharp_structure_is_learned_where_a_plain_perceptron_sees_none():
    x = torch.linspace(-1, 1, 400).unsqueeze(1)
    target = torch.sin(8 * math.pi * x)

    def left(octaves):
        torch.manual_seed(0)
        network = Fourier(1, 1, width=32, depth=2, octaves=octaves)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(100):
            loss = (network(x) - target).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return loss.item()

    assert left(4) < 0.01
    assert left(0) > 0.3
