"""Sliced score matching with variance reduction."""

from .. import methods
from .base import ClassVar
from .slices import Sliced


@methods.register("ssm_vr")
class SSMVR(Sliced):
    """Sliced score matching with variance reduction: the squared score is not sliced.

    E [v·∇s·v] + ½ E |s|² with E[vvᵀ] = I (Song et al. 2019, equation 8).
    """

    square: ClassVar[float] = 1.0
