"""Shared steps of the compiled recursions, for one member's hidden layer."""

from .compiled import compiled_part, compiled_quotients
from .products import block
from .vector_math import curve, wide


@compiled_part
def matrix(own, at, place, rows, columns):
    """View a weight or bias of a member, the place-th of its tensors."""
    return block(own, at[place], rows, columns)


@compiled_quotients
def activate(kind, used, bias, pushed, h, second, third, m):
    """Replace a by φ', and compute h, φ'' and φ'''; h may be one row for all points."""
    wide()
    points, width = second.shape
    last = h.shape[0] - 1
    for i in range(points):
        # A value that is not needed has a single row, which is overwritten.
        a, h_, c_, d_ = pushed[i], h[min(i, last)], second[i], third[i if m else 0]
        for j in range(width):
            h_[j], a[j], c_[j], d_[j] = curve(kind, a[j] + bias[j])
        # Padding units stay out of every gradient. (Not as a slice: numba 0.68 omits the
        # assignment after a loop like the one above.)
        for j in range(used, width):
            h_[j] = 0


@compiled_part
def push(pushed, rows, m):
    """Compute ḣ = φ'ȧ of every direction."""
    wide()
    points = pushed.shape[0] // (1 + m)
    for r in range(points, pushed.shape[0]):
        s_, da, dh = pushed[r % points], pushed[r], rows[r]
        for j in range(da.shape[0]):
            dh[j] = s_[j] * da[j]
