"""Matrix products and sums inside compiled functions.

Products are computed one member at a time, so that rounding cannot depend on the other members:
batched products use different code for different numbers of members. Operands are
C-contiguous matrices of one floating-point type.
"""

import numpy as np

from .compiled import compiled_part, compiled_sums
from .gemm import gemm
from .vector_math import wide

# A matrix with at most this many columns is multiplied in a loop, which ends before a library call
# would begin.
_FEW = 8


@compiled_part
def _few_times(left, right, out):
    """Compute out = left · right, row by row."""
    wide()
    for i in range(left.shape[0]):
        row, weight, c = out[i], right[0], left[i, 0]
        for j in range(row.shape[0]):
            row[j] = c * weight[j]
        for q in range(1, left.shape[1]):
            weight, c = right[q], left[i, q]
            for j in range(row.shape[0]):
                row[j] += c * weight[j]


@compiled_part
def times(left, right, out):
    """Compute out = left · right, of shapes (m, k), (k, n) and (m, n)."""
    if left.shape[1] <= _FEW:
        _few_times(left, right, out)
    elif right.shape[1] <= _FEW:
        times_transposed(left, right.T.copy(), out)
    else:
        gemm(False, False, out.shape[0], out.shape[1], left.shape[1], left, right, out)


@compiled_part
def times_transposed(left, right, out):
    """Compute out = left · rightᵀ, of shapes (m, k), (n, k) and (m, n)."""
    if right.shape[0] <= _FEW:
        for i in range(left.shape[0]):
            for j in range(right.shape[0]):
                out[i, j] = dot(left[i], right[j])
    elif left.shape[1] <= _FEW:
        _few_times(left, right.T.copy(), out)
    else:
        gemm(True, False, out.shape[0], out.shape[1], left.shape[1], left, right, out)


@compiled_part
def _outer(left, right, out):
    """Compute out = leftᵀ · right, row by row."""
    wide()
    fill(out, 0)
    for i in range(left.shape[0]):
        row = right[i]
        for q in range(left.shape[1]):
            sums, c = out[q], left[i, q]
            for j in range(row.shape[0]):
                sums[j] += c * row[j]


@compiled_part
def transposed_times(left, right, out):
    """Compute out = leftᵀ · right, of shapes (k, m), (k, n) and (m, n)."""
    if left.shape[1] <= _FEW:
        _outer(left, right, out)
    elif right.shape[1] <= _FEW:
        flipped = np.empty((out.shape[1], out.shape[0]), out.dtype)
        _outer(right, left, flipped)
        copy(flipped.T, out)
    else:
        gemm(False, True, out.shape[0], out.shape[1], left.shape[0], left, right, out)


@compiled_sums
def dot(left, right):
    """Compute Σ left · right of two vectors."""
    wide()
    total = left.dtype.type(0)
    for j in range(left.shape[0]):
        total += left[j] * right[j]
    return total


@compiled_part
def block(memory, start, rows, columns):
    """View a part of a vector as a matrix."""
    return memory[start : start + rows * columns].reshape(rows, columns)


@compiled_part
def fill(rows, number):
    """Set all elements of a matrix."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[i, j] = number


@compiled_part
def copy(rows, out):
    """Copy a matrix."""
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            out[i, j] = rows[i, j]


@compiled_part
def column_sums(rows, out):
    """Sum all rows."""
    wide()
    for j in range(out.shape[0]):
        out[j] = 0
    for i in range(rows.shape[0]):
        row = rows[i]
        for j in range(row.shape[0]):
            out[j] += row[j]
