"""What everything is compared with: textbook PyTorch, as in the seed code bases."""

import itertools

import torch
from torch import Tensor, nn


class Swish(nn.Module):
    """Written out with a learned slope per unit, as the seeds do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.slope * x)


def _perceptron(width: int, depth: int, dim: int, outputs: int) -> nn.Sequential:
    sizes = [dim, *[width] * depth]
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), Swish(fan_out)]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


class Score(nn.Module):
    """A network whose output is the score."""

    def __init__(self, width: int, depth: int = 2, dim: int = 2) -> None:
        super().__init__()
        self.net = _perceptron(width, depth, dim, dim)

    def score(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


class Energy(nn.Module):
    """The seeds' energy network, score by autograd."""

    def __init__(self, width: int, depth: int = 2, dim: int = 2) -> None:
        super().__init__()
        self.net = _perceptron(width, depth, dim, 1)

    def score(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        (gradient,) = torch.autograd.grad(self.net(x).sum(), x, create_graph=True)
        return -gradient


def loss(name: str, model: Energy | Score, x: Tensor, sigma: float = 0.1) -> Tensor:
    if name in ("dsm", "deen"):
        noise = torch.randn_like(x)
        s = model.score(x + sigma * noise)
        if name == "dsm":
            return 0.5 * (s + noise / sigma).square().sum(-1).mean()
        return 0.5 * (sigma * noise + sigma**2 * s).square().sum(-1).mean()
    x = x.requires_grad_()
    v = torch.randn_like(x)
    s = model.score(x)
    (jv,) = torch.autograd.grad((s * v).sum(), x, create_graph=True)
    curvature = (jv * v).sum(-1)
    square = (s * v).sum(-1).square() if name == "ssm" else s.square().sum(-1)
    return (curvature + 0.5 * square).mean()


class Trainer:
    """One step after another with torch.optim.Adam and clipping."""

    def __init__(
        self,
        name: str,
        width: int,
        batch: int,
        *,
        kind: str = "energy",
        points: int = 10_000,
        device: str = "cpu",
    ) -> None:
        self.name, self.batch, self.device = name, batch, device
        self.model = (Energy(width) if kind == "energy" else Score(width)).to(device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.data = torch.randn(points, 2, device=device)

    def step(self) -> None:
        x = self.data[torch.randint(len(self.data), (self.batch,), device=self.device)]
        self.optimiser.zero_grad()
        loss(self.name, self.model, x).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 100.0)
        self.optimiser.step()


def langevin(model: Energy, chains: int, steps: int, step_size: float = 0.01) -> Tensor:
    """The seeds' sampler, with the graph cut at each step so that memory stays bounded."""
    device = next(model.parameters()).device
    x = torch.rand(chains, 2, device=device) * 8 - 4
    for _ in range(steps):
        noise = torch.randn_like(x)
        x = (x + 0.5 * step_size * model.score(x) + step_size**0.5 * noise).detach()
    return x


def mmd(x: Tensor, y: Tensor, bandwidths: list[float]) -> Tensor:
    """Unbiased MMD² from full distance matrices, one exponential per bandwidth."""
    n, m = len(x), len(y)
    total = x.new_zeros(())
    xx, yy, xy = torch.cdist(x, x), torch.cdist(y, y), torch.cdist(x, y)
    for width in bandwidths:
        scale = -1 / (2 * width**2)
        kxx, kyy, kxy = ((d.square() * scale).exp() for d in (xx, yy, xy))
        total = total + (
            (kxx.sum() - n) / (n * (n - 1)) + (kyy.sum() - m) / (m * (m - 1)) - 2 * kxy.mean()
        )
    return total / len(bandwidths)
