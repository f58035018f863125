"""Textbook autograd versions of what the package computes in closed form."""

import torch
from scorebench.methods.networks import MLP
from torch import Tensor
from torch.nn import functional


def output(mlp: MLP, theta: Tensor, x: Tensor) -> Tensor:
    """Plain forward pass: (K, B, d) -> (K, B) for energies, (K, B, d) for scores."""
    h = x
    layers = mlp.views(theta)
    for i, (weight, bias) in enumerate(layers):
        h = h @ weight + bias
        if i < len(layers) - 1:
            act = functional.silu if mlp.activation == "swish" else torch.nn.Softplus(threshold=50)
            h = act(h)
    if mlp.base is not None:
        offset = x - torch.tensor(mlp.base.centre, dtype=x.dtype)
        if mlp.kind == "energy":
            h = h + offset.pow(2).sum(-1, keepdim=True) / (2 * mlp.base.spread**2)
        else:
            h = h - offset / mlp.base.spread**2
    return h.squeeze(-1) if mlp.kind == "energy" else h


def score(mlp: MLP, theta: Tensor, x: Tensor) -> Tensor:
    """Score by autograd, itself differentiable."""
    if mlp.kind == "score":
        return output(mlp, theta, x)
    (grad,) = torch.autograd.grad(output(mlp, theta, x).sum(), x, create_graph=True)
    return -grad


def curvature(mlp: MLP, theta: Tensor, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Score, and v·∇s·v for each direction, by double backward: (K, B, d), (K, M, B)."""
    s = score(mlp, theta, x)
    seconds = []
    for m in range(v.shape[1]):
        (jv,) = torch.autograd.grad((s * v[:, m]).sum(), x, create_graph=True)
        seconds.append((jv * v[:, m]).sum(-1))
    return s, torch.stack(seconds, 1)
