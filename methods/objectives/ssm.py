"""Sliced score matching."""

from .. import methods
from .base import ClassVar
from .slices import Sliced


@methods.register("ssm")
class SSM(Sliced):
    """Sliced score matching: fits the data's score along random directions.

    E [v·∇s·v + ½ (v·s)²] with E[vvᵀ] = I (Song et al. 2019, equation 7).
    """

    sliced: ClassVar[float] = 1.0
