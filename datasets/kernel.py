"""The one-dimensional bump that most toys are made of: a uniform box blurred by a Gaussian.

f(t) is the density of ``U[-width/2, width/2] + N(0, tau²)``. With a = |t|, u = (a - width/2)/tau
and delta = width/tau it is f = [Q(u) - Q(u + delta)]/width, Q the upper tail of the normal
distribution. Written with the scaled tail erfcx, Q(u) = exp(-u²/2) erfcx(u/√2)/2, both log f and
its slope stay accurate at any distance.
"""

import math

import torch
from torch import Tensor

# At u = -20 the bump differs from its plateau by 1e-89, and erfcx(-20/√2) is still finite.
_PLATEAU = -20.0


def log_bump(t: Tensor, width: float, tau: float) -> tuple[Tensor, Tensor]:
    """Compute the logarithm of f and its derivative, elementwise.

    Args:
        t: Distances from the centre of the bump, any shape.
        width: Width of the box, >= 0.
        tau: Standard deviation of the Gaussian, >= 0; ``width`` and ``tau`` must not both be 0.

    Returns:
        ``log f(t)`` and ``d/dt log f(t)``, both of the shape of ``t``. For ``tau = 0`` the box is
        half open, [-width/2, width/2), and the derivative is 0.
    """
    if width == 0:
        z = t / tau
        return -0.5 * z.square() - math.log(tau * math.sqrt(2 * math.pi)), -z / tau
    if tau == 0:
        inside = (t >= -width / 2) & (t < width / 2)
        plateau = torch.full_like(t, -math.log(width)) + 0 * t
        return plateau.where(inside, -math.inf), torch.zeros_like(t)
    delta = width / tau
    u = ((t.abs() - width / 2) / tau).clamp(min=_PLATEAU)
    lost = delta * (u + delta / 2)
    tails = torch.special.erfcx(u / math.sqrt(2)) - torch.exp(-lost) * torch.special.erfcx(
        (u + delta) / math.sqrt(2)
    )
    value = -0.5 * u.square() + torch.log(tails) - math.log(2 * width)
    slope = t.sign() * torch.expm1(-lost) * (math.sqrt(2 / math.pi) / tau) / tails
    return value, slope


def bump(t: Tensor, width: float, tau: float) -> tuple[Tensor, Tensor, Tensor]:
    """Compute f, f' and f'' for ``tau`` > 0, for sums over many bumps; far out they underflow."""
    value, slope = log_bump(t, width, tau)
    f = value.exp()
    if width == 0:
        return f, f * slope, f * ((t / tau).square() - 1) / tau**2
    near, far = t + width / 2, t - width / 2
    scale = width * tau**3 * math.sqrt(2 * math.pi)
    bend = (
        far * torch.exp(-0.5 * (far / tau).square())
        - near * torch.exp(-0.5 * (near / tau).square())
    ) / scale
    return f, f * slope, bend
