"""A trained network as an ordinary ``torch.nn.Module``, and as an ONNX file."""

import copy
import importlib.util
import logging
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from ..datasets.errors import UsageError, first_line
from .module_network import ModuleNetwork
from .network_model import (
    DATA_SCALE,
    NetworkModel,
    Preconditioning,
    conditional_energy,
    conditioned,
)
from .networks import MLP

_ACTIVATIONS = {"swish": nn.SiLU, "softplus": nn.Softplus}


class ScoreModule(nn.Module):
    """The score of a trained model: called with points (B, d) it returns scores (B, d).

    Everything between the network and the score is inside: the sign and the gradient of an energy,
    the Gaussian base, and the scaling of noise-conditional networks.

    Attributes:
        network: The network alone, called with (B, d), or (B, d + 1) if the noise level is an
            input: a perceptron of ``torch.nn`` layers, or the user's own module.
        is_energy: Whether the network is an energy.
        level: Noise level of the score where none is given; smaller ones count as it.
    """

    def __init__(self, model: NetworkModel) -> None:
        super().__init__()
        shape = model.network
        self.network = _module(shape, model.theta[0])
        self.is_energy = shape.kind == "energy"
        self.conditional = shape.conditional
        self.predicts = shape.predicts
        self.level = model.level
        self.dim = shape.dim
        self.spread: float | None = None
        if shape.base is not None:
            self.spread = shape.base.spread
            self.register_buffer("centre", torch.tensor(shape.base.centre))

    centre: Tensor

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Compute the score at x (B, d); ``sigma`` counts for noise-conditional networks only."""
        if self.is_energy:
            with torch.enable_grad():
                inside = x if x.requires_grad else x.detach().requires_grad_()
                energy = self.energy(inside, sigma).sum()
                graph = x.requires_grad or torch.is_inference_mode_enabled()
                (slope,) = torch.autograd.grad(energy, inside, create_graph=graph)
            return -slope
        if self.conditional:
            noise, scaling = self._levels(x, sigma)
            raw: Tensor = self.network(conditioned(x, noise, scaling.spread))
            return raw * (DATA_SCALE / (noise * scaling.reach)) - x / scaling.own.square()
        score: Tensor = self.network(x)
        return score if self.spread is None else score - (x - self.centre) / self.spread**2

    def energy(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Compute the energy at x (B, d), up to a constant: (B,).

        Raises:
            UsageError: The network is a score.
        """
        if not self.is_energy:
            raise UsageError('the network is a score, which has no energy: network.kind = "energy"')
        if self.conditional:
            noise, scaling = self._levels(x, sigma)
            raw: Tensor = self.network(conditioned(x, noise, scaling.spread))
            return conditional_energy(x, noise, scaling, raw.reshape(x.shape[0]))
        energy: Tensor = self.network(x).reshape(x.shape[0])
        if self.spread is None:
            return energy
        return energy + 0.5 * ((x - self.centre) / self.spread).square().sum(-1)

    def _levels(self, x: Tensor, sigma: float | Tensor | None) -> tuple[Tensor, Preconditioning]:
        given = x.new_zeros(()) if sigma is None else torch.as_tensor(sigma, dtype=x.dtype)
        noise = torch.broadcast_to(given.clamp(min=self.level).reshape(-1, 1), (x.shape[0], 1))
        return noise, Preconditioning.of(self.predicts, noise)


def _module(network: MLP | ModuleNetwork, theta: Tensor) -> nn.Module:
    """Make the network of one member as a module of its own, from flat parameters (size,)."""
    if isinstance(network, MLP):
        return _perceptron(network, theta)
    module = copy.deepcopy(network.module)
    tensors = network.tensors(theta)
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            tensor.copy_(tensors[name])
    return module.eval()


def _perceptron(network: MLP, theta: Tensor) -> nn.Module:
    layers: list[nn.Module] = []
    for weight, bias in network.views(theta.unsqueeze(0)):
        linear = nn.Linear(weight.shape[1], weight.shape[2], dtype=theta.dtype)
        with torch.no_grad():
            linear.weight.copy_(weight[0].T)
            linear.bias.copy_(bias[0, 0])
        layers += [linear, _ACTIVATIONS[network.activation]()]
    return nn.Sequential(*layers[:-1])


class _Outputs(nn.Module):
    """The score, and the energy if there is one."""

    def __init__(self, module: ScoreModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, sigma: Tensor | None = None) -> tuple[Tensor, ...]:
        """Compute the outputs of an ONNX file."""
        score = self.module(x, sigma)
        return (score, self.module.energy(x, sigma)) if self.module.is_energy else (score,)


def onnx_of(module: ScoreModule) -> bytes:
    """Write the score of a model as the content of an ONNX file.

    Its inputs are ``x`` (n, d), and ``sigma``, a number, for noise-conditional networks; its
    outputs are ``score`` (n, d), and ``energy`` (n,) if the network is an energy.

    Raises:
        UsageError: The packages of the extra ``onnx`` are missing, or the network has operations
            that ONNX has not.
    """
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxscript") is None:
        raise UsageError("ONNX needs packages that are missing: pip install 'scorebench[onnx]'")
    names = ["x", *(["sigma"] if module.conditional else [])]
    inputs = (torch.zeros(7, module.dim), torch.tensor(1.0))[: len(names)]
    shapes = ({0: torch.export.Dim("n")}, None)[: len(names)]
    outputs = ["score", *(["energy"] if module.is_energy else [])]
    log = logging.getLogger("torch.onnx")
    before = log.level
    try:
        # It warns of packages that it can do without.
        log.setLevel(logging.ERROR)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            # The exporter knows no gradients; traced and decomposed, they are plain operations.
            traced = make_fx(
                _Outputs(module),
                dict(core_aten_decompositions()),
                tracing_mode="symbolic",
                _allow_non_fake_inputs=True,
            )(*inputs)
            program = torch.onnx.export(
                traced, inputs, dynamo=True, dynamic_shapes=shapes, input_names=names,
                output_names=outputs, verbose=False,
            )  # fmt: skip
            path = Path(folder) / "model.onnx"
            program.save(path)  # type: ignore[union-attr]
            return path.read_bytes()
    except Exception as error:
        raise UsageError(f"the network cannot be written as ONNX: {first_line(error)}") from error
    finally:
        log.setLevel(before)
