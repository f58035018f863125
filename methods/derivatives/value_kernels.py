"""The recursions of ``score_jets``, compiled: one member after another, including products.

The memory of a member is laid out as in ``jet_kernels``; for each hidden layer it holds

    pushed  [a | ȧ₁…ȧ_M], where φ' replaces a,
    rows    [h | ḣ₁…ḣ_M], the input of the next weights,
    and     φ'',

then two buffers for products, which become adjoints in place, and the inputs [x | v₁…v_M].
"""

from .compiled import compiled_into, compiled_part
from .layer_kernels import activate, matrix, push
from .products import block, column_sums, copy, times, times_transposed, transposed_times
from .vector_math import wide


def length(depth: int, directions: int, points: int, width: int, inputs: int) -> int:
    """Size of a member's memory."""
    blocks = depth * (2 * directions + 3) + 2 * (1 + directions)
    return blocks * points * width + (1 + directions) * points * inputs


@compiled_part
def _layer(memory, i, m, points, width):
    """Views of the blocks of hidden layer i: pushed, rows and φ''."""
    size = points * width
    start = i * (2 * m + 3) * size
    pushed = block(memory, start, (1 + m) * points, width)
    rows = block(memory, start + (1 + m) * size, (1 + m) * points, width)
    return pushed, rows, block(memory, start + (2 + 2 * m) * size, points, width)


@compiled_part
def _ends(memory, depth, m, points, width, dim):
    """Views of two buffers for products, and of the inputs."""
    start = depth * (2 * m + 3) * points * width
    one = block(memory, start, (1 + m) * points, width)
    other = block(memory, start + one.size, (1 + m) * points, width)
    return one, other, block(memory, start + 2 * one.size, (1 + m) * points, dim)


@compiled_into
def evaluate(kind, sizes, used, theta, at, work, x, v, out):
    """Compute outputs at points x and their derivatives along v, and prepare ``pull``.

    The arguments are those of ``jet_kernels.evaluate``, but for ``out``, which receives
    [N | ∇N·v₁ … ∇N·v_M] as rows (K, (1 + M) B, outputs).
    """
    depth, m, points, width, dim = sizes
    for k in range(theta.shape[0]):
        own, memory = theta[k], work[k]
        spare, _, below = _ends(memory, depth, m, points, width, dim)
        copy(x[k], below[:points])
        for q in range(m):
            copy(v[k, q], below[(1 + q) * points : (2 + q) * points])
        for i in range(depth):
            pushed, rows, second = _layer(memory, i, m, points, width)
            times(below, matrix(own, at, 2 * i, below.shape[1], width), pushed)
            bias = own[at[2 * i + 1] : at[2 * i + 1] + width]
            # Third derivatives are not used: all go to one row.
            activate(kind, used, bias, pushed, rows[:points], second, spare, 0)
            push(pushed, rows, m)
            below = rows
        outputs = out.shape[2]
        times(below, matrix(own, at, 2 * depth, width, outputs), out[k])
        for i in range(points):
            for j in range(outputs):
                out[k, i, j] += own[at[2 * depth + 1] + j]


@compiled_part
def _adjoint(down, pushed, second, m):
    """Replace adjoints [h̄ | ḣ̄₁…ḣ̄_M] by [ā | ǡ₁…ǡ_M]."""
    wide()
    points, width = second.shape
    for i in range(points):
        s_, a_bar = pushed[i], down[i]
        for j in range(width):
            a_bar[j] *= s_[j]
        for q in range(1, m + 1):
            r = q * points + i
            da_bar, da, c_ = down[r], pushed[r], second[i]
            for j in range(width):
                a_bar[j] += da_bar[j] * da[j] * c_[j]
                da_bar[j] *= s_[j]


@compiled_into
def pull(sizes, theta, at, work, bars, gradient):
    """Compute the gradient of <bars, [N | ∇N·v₁ … ∇N·v_M]> after ``evaluate``, with its arguments.

    ``bars`` are cotangents of its result, in the same form. ``gradient`` receives the gradient,
    (K, size); padding is left unchanged.
    """
    depth, m, points, width, dim = sizes
    for k in range(theta.shape[0]):
        own, memory, bar = theta[k], work[k], gradient[k]
        down, other, inputs = _ends(memory, depth, m, points, width, dim)
        above, columns = bars[k], bars.shape[2]
        for i in range(depth, -1, -1):
            fan_in = width if i else dim
            below = inputs
            if i:
                _, below, _ = _layer(memory, i - 1, m, points, width)
            transposed_times(below, above, matrix(bar, at, 2 * i, fan_in, columns))
            start = at[2 * i + 1]
            column_sums(above[:points], bar[start : start + columns])
            if i:
                pushed, _, second = _layer(memory, i - 1, m, points, width)
                times_transposed(above, matrix(own, at, 2 * i, fan_in, columns), down)
                _adjoint(down, pushed, second, m)
                above, columns = down, width
                down, other = other, down
