"""The recursions of ``energy_jets``, compiled: one member after another, including products.

Each member has one memory, divided into blocks of rows as long as a layer is wide; the notation is
that of ``energy_jets``. For each hidden layer it holds

    pushed  [a | ȧ₁…ȧ_M], where φ' replaces a,
    rows    [h | ḣ₁…ḣ_M | u], the input of the next weights,
    bars    [ā | ǡ₁…ǡ_M | φ'n], their counterparts in the weights' gradient,
    and φ'' and φ'''n, if there are directions,

each letter standing for as many rows as there are points; then a buffer for products; then the
inputs as rows [x | v₁…v_M | σ], with the score's cotangent σ. Values that are no longer needed are
overwritten, so that as much as possible stays in a core's own cache.
"""

from .compiled import compiled_into, compiled_part, compiled_sums
from .layer_kernels import activate, matrix, push
from .products import block, column_sums, copy, dot, fill, times, times_transposed, transposed_times
from .vector_math import wide


def length(depth: int, directions: int, points: int, width: int, inputs: int) -> int:
    """Size of a member's memory."""
    blocks = depth * (3 * directions + 7) + 1 + directions
    return blocks * points * width + (2 + directions) * points * inputs


@compiled_part
def _blocks(directions):
    """Number of blocks of a layer."""
    return 3 * directions + 7


@compiled_sums
def _bend(bent, da):
    """Σ φ''n ȧ²."""
    total = bent.dtype.type(0)
    for j in range(bent.shape[0]):
        total += bent[j] * da[j] * da[j]
    return total


@compiled_part
def _layer(memory, i, m, points, width):
    """Views of the blocks of hidden layer i: pushed, rows, bars, second and third."""
    size = points * width
    start = i * _blocks(m) * size
    pushed = block(memory, start, (1 + m) * points, width)
    rows = block(memory, start + (1 + m) * size, (2 + m) * points, width)
    bars = block(memory, start + (3 + 2 * m) * size, (2 + m) * points, width)
    # φ''n is stored where ā follows; without directions φ'' is too, and becomes φ''n there.
    second = block(memory, start + (5 + 3 * m if m else 3) * size, points, width)
    third = block(memory, start + (6 + 3 * m) * size, points, width)
    return pushed, rows, bars, second, third


@compiled_part
def _ends(memory, depth, m, points, width, dim):
    """Views of the buffer for products, and of the inputs."""
    start = depth * _blocks(m) * points * width
    product = block(memory, start, (1 + m) * points, width)
    return product, block(memory, start + product.size, (2 + m) * points, dim)


@compiled_part
def _through(n, pushed, bars, second, third, m):
    """Compute φ'n, φ''n and φ'''n; n may be one row for all points."""
    wide()
    points, width = second.shape
    last = n.shape[0] - 1
    for i in range(points):
        n_, s_, bent, through = n[min(i, last)], pushed[i], bars[i], bars[(1 + m) * points + i]
        if m:
            c_, d_ = second[i], third[i]
            for j in range(width):
                through[j] = n_[j] * s_[j]
                bent[j] = n_[j] * c_[j]
                d_[j] = n_[j] * d_[j]
        else:
            for j in range(width):
                through[j] = n_[j] * s_[j]
                bent[j] = n_[j] * bent[j]


@compiled_into
def evaluate(kind, sizes, used, theta, at, work, x, v, energy, score, first, second):
    """Compute values at points x along directions v, and prepare ``pull``.

    Args:
        kind: Kind of the activation.
        sizes: Depth D, directions M, points B, width W and inputs d.
        used: Units of a layer without padding.
        theta: Parameters, (K, size).
        at: Offset of each weight and bias in them.
        work: The members' memory, (K, ``length``).
        x: Points, (K, B, d).
        v: Directions, (K, M, B, d).
        energy: Receives E, (K, B); (K, 0) if not wanted.
        score: Receives s, (K, B, d).
        first: Receives v·s, (K, M, B).
        second: Receives v·∇s·v, (K, M, B).
    """
    depth, m, points, width, dim = sizes
    end = (1 + m) * points
    for k in range(theta.shape[0]):
        own, memory = theta[k], work[k]
        product, inputs = _ends(memory, depth, m, points, width, dim)
        copy(x[k], inputs[:points])
        for q in range(m):
            copy(v[k, q], inputs[(1 + q) * points : (2 + q) * points])
        below = inputs[:end]
        for i in range(depth):
            pushed, rows, _, bend, third = _layer(memory, i, m, points, width)
            times(below, matrix(own, at, 2 * i, below.shape[1], width), pushed)
            bias = own[at[2 * i + 1] : at[2 * i + 1] + width]
            last = i == depth - 1
            # Only the energy needs h of the last layer.
            stored = 1 if last and not energy.shape[1] else points
            activate(kind, used, bias, pushed, rows[:stored], bend, third, m)
            if not last:
                push(pushed, rows, m)
            below = rows[:end]
        top = own[at[2 * depth] : at[2 * depth] + width]
        for i in range(energy.shape[1]):
            energy[k, i] = dot(below[i], top) + own[at[2 * depth + 1]]
        fill(second[k], 0)
        n = product[:1]
        for j in range(width):
            n[0, j] = -top[j]
        for i in range(depth - 1, -1, -1):
            pushed, _, bars, bend, third = _layer(memory, i, m, points, width)
            _through(n, pushed, bars, bend, third, m)
            for q in range(m):
                for b in range(points):
                    second[k, q, b] += _bend(bars[b], pushed[(1 + q) * points + b])
            if i:
                n = product[:points]
                times_transposed(bars[end:], matrix(own, at, 2 * i, width, width), n)
            else:
                times_transposed(bars[end:], matrix(own, at, 0, dim, width), score[k])
        for q in range(m):
            for b in range(points):
                first[k, q, b] = dot(v[k, q, b], score[k, b])


@compiled_part
def _along(t, pushed, u, bars, second, third, weights):
    """Compute the rows u, and ā and ǡ without the contributions of layers above.

    Args:
        t: Product of u of the layer below with the layer's weights.
        pushed: [φ' | ȧ₁…ȧ_M].
        u: Receives u.
        bars: [φ''n | … | φ'n], which become [ā | ǡ₁…ǡ_M | φ'n].
        second: φ''.
        third: φ'''n.
        weights: Cotangent of v·∇s·v, (M, B).
    """
    wide()
    points, width = second.shape
    for i in range(points):
        t_, s_, u_, a_bar = t[i], pushed[i], u[i], bars[i]
        if not weights.shape[0]:
            for j in range(width):
                u_[j] = t_[j] * s_[j]
                a_bar[j] = t_[j] * a_bar[j]
        else:
            for j in range(width):
                u_[j] = 0
            for q in range(weights.shape[0]):
                w, r = weights[q, i], (1 + q) * points + i
                da, da_bar = pushed[r], bars[r]
                for j in range(width):
                    bend = w * da[j]
                    u_[j] += bend * da[j]
                    da_bar[j] = (bend + bend) * a_bar[j]
            c_, d_ = second[i], third[i]
            for j in range(width):
                square = u_[j]
                u_[j] = t_[j] * s_[j] + c_[j] * square
                a_bar[j] = t_[j] * a_bar[j] + d_[j] * square


@compiled_part
def _adjoint(down, pushed, bars, second, m):
    """Add to ā and ǡ the contributions of the adjoints [h̄ | ḣ̄₁…ḣ̄_M] of the layer's outputs."""
    wide()
    points, width = second.shape
    for i in range(points):
        h_bar, s_, a_bar = down[i], pushed[i], bars[i]
        for j in range(width):
            a_bar[j] += h_bar[j] * s_[j]
        for q in range(1, m + 1):
            r = q * points + i
            dh_bar, da, da_bar, c_ = down[r], pushed[r], bars[r], second[i]
            for j in range(width):
                da_bar[j] += dh_bar[j] * s_[j]
                a_bar[j] += dh_bar[j] * da[j] * c_[j]


@compiled_into
def pull(sizes, theta, at, work, energy, score, first, second, gradient):
    """Compute the gradient of <energy, E> + <score, s> + <first, v·s> + <second, v·∇s·v>.

    ``sizes``, ``theta``, ``at`` and ``work`` are those of ``evaluate``, which must run before. The
    cotangents have shapes (K, B), (K, B, d), (K, M, B) and (K, M, B); for zero (K, 0), (K, 0, d),
    (K, 0, B) and (K, 0, B). ``gradient`` receives the gradient, (K, size), but for the padding.
    """
    wide()
    depth, m, points, width, dim = sizes
    end = (1 + m) * points
    for k in range(theta.shape[0]):
        own, memory, bar = theta[k], work[k], gradient[k]
        product, inputs = _ends(memory, depth, m, points, width, dim)
        u = inputs[end:]
        for i in range(points):
            for j in range(dim):
                u[i, j] = score[k, i, j] if score.shape[1] else 0
            # v·s is linear in s.
            for q in range(first.shape[1]):
                c, v = first[k, q, i], inputs[(1 + q) * points + i]
                for j in range(dim):
                    u[i, j] += c * v[j]
        t = product[:points]
        for i in range(depth):
            pushed, rows, bars, bend, third = _layer(memory, i, m, points, width)
            times(u, matrix(own, at, 2 * i, u.shape[1], width), t)
            u = rows[end:]
            _along(t, pushed, u, bars, bend, third, second[k])
        top_bar = bar[at[2 * depth] : at[2 * depth] + width]
        column_sums(u, top_bar)
        for j in range(width):
            top_bar[j] = -top_bar[j]
        bar[at[2 * depth + 1]] = 0
        top = own[at[2 * depth] : at[2 * depth] + width]
        pushed, rows, bars, _, _ = _layer(memory, depth - 1, m, points, width)
        for i in range(energy.shape[1]):
            c, h, s_, a_bar = energy[k, i], rows[i], pushed[i], bars[i]
            bar[at[2 * depth + 1]] += c
            for j in range(width):
                top_bar[j] += c * h[j]
                a_bar[j] += c * top[j] * s_[j]
        for i in range(depth - 1, -1, -1):
            pushed, _, bars, bend, _ = _layer(memory, i, m, points, width)
            if i < depth - 1:
                _adjoint(product, pushed, bars, bend, m)
            column_sums(bars[:points], bar[at[2 * i + 1] : at[2 * i + 1] + width])
            if i:
                _, below, _, _, _ = _layer(memory, i - 1, m, points, width)
                transposed_times(below, bars, matrix(bar, at, 2 * i, width, width))
                times_transposed(bars[:end], matrix(own, at, 2 * i, width, width), product)
            else:
                transposed_times(inputs, bars, matrix(bar, at, 0, dim, width))
