"""What the author of a dataset knows about it from another source."""

from typing import ClassVar


class Expected:
    """Known constants of a dataset and tolerances of its checks; the defaults suit most datasets.

    Attributes:
        levels: Noise levels at which densities are integrated.
        fisher: E|score|² by sigma, from another source.
        entropy: Entropy in nats by sigma, from another source.
        kl: KL(p, p_sigma) in nats by sigma, from another source.
        digits: Relative and absolute error allowed against these three.
        straying: Share of the points that may lie nearer to another mode than to their own.
        within: Share of the points that the box of half side ``extent`` holds at least.
        looks_like_a_point_from_afar: Whether scores far out point to the origin; false for tails
            other than those of a Gaussian of one width.
    """

    levels: ClassVar[tuple[float, ...]] = (0.0, 0.1, 0.3)
    fisher: ClassVar[dict[float, float]] = {}
    entropy: ClassVar[dict[float, float]] = {}
    kl: ClassVar[dict[float, float]] = {}
    digits: ClassVar[float] = 1e-5
    straying: ClassVar[float] = 1e-3
    within: ClassVar[float] = 0.99
    looks_like_a_point_from_afar: ClassVar[bool] = True
