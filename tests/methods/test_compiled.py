"""Compiled jets and loops equal what torch makes of the same recursions, and keep NaN."""

import ctypes
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch
from numba.core.caching import FunctionCache
from scorebench.bench.adam import Adam
from scorebench.datasets.private import is_private
from scorebench.methods.derivatives import compiled as compiled_module
from scorebench.methods.derivatives import gemm
from scorebench.methods.derivatives.closed_form import ClosedForm
from scorebench.methods.derivatives.compiled import compiled
from scorebench.methods.derivatives.compiled_jets import CompiledEnergyJet, CompiledScoreJet
from scorebench.methods.derivatives.energy_jets import EnergyJet
from scorebench.methods.derivatives.layer_kernels import activate
from scorebench.methods.derivatives.score_jets import ScoreJet
from scorebench.methods.derivatives.vector_math import KINDS
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP


def numbers(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# Widths with and without units that only fill up a layer, inputs that loops and libraries multiply.
SHAPES = [(2, 32, 3), (2, 30, 1), (9, 7, 2), (1, 16, 2)]


@pytest.mark.parametrize("activation", ["swish", "softplus"])
@pytest.mark.parametrize("directions", [0, 1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dim", "width", "depth"), SHAPES)
def test_compiled_energies_equal_those_of_torch(activation, directions, dtype, dim, width, depth):
    mlp, members, points = MLP(dim, "energy", width, depth, activation), 2, 6
    theta = mlp.init([torch.Generator().manual_seed(k) for k in range(members)], dtype)
    x = numbers(1, members, points, dim, dtype=dtype)
    v = numbers(2, members, directions, points, dim, dtype=dtype) if directions else None
    first, second = (numbers(s, members, directions, points, dtype=dtype) for s in (5, 6))
    energy, score = numbers(4, members, points, dtype=dtype), numbers(3, *x.shape, dtype=dtype)
    cotangents = [(None, score, None, None), (energy, score, None, None)]
    if directions:
        cotangents += [(None, None, first, second), (energy, score, None, second)]
    jets = CompiledEnergyJet(mlp, theta, points, directions), EnergyJet(mlp, mlp.views(theta))
    for bars in cotangents:
        made = []
        for jet in jets:
            values = jet.evaluate(x, v, energy=bars[0] is not None)
            made.append([part.clone() for part in [*values, jet.backward(*bars)]])
        same(*made)
    again = jets[0].backward(*cotangents[0]).clone()
    assert torch.equal(jets[0].backward(*cotangents[0]), again)


@pytest.mark.parametrize("activation", ["swish", "softplus"])
@pytest.mark.parametrize("directions", [0, 1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dim", "width", "depth"), SHAPES)
@pytest.mark.parametrize("kind", ["energy", "score"])
def test_compiled_outputs_equal_those_of_torch(
    activation, directions, dtype, dim, width, depth, kind
):
    mlp, members, points = MLP(dim, kind, width, depth, activation), 2, 6
    theta = mlp.init([torch.Generator().manual_seed(k) for k in range(members)], dtype)
    x = numbers(1, members, points, dim, dtype=dtype)
    v = numbers(2, members, directions, points, dim, dtype=dtype) if directions else None
    bars = numbers(3, members, 1 + directions, points, mlp.widths[-1], dtype=dtype)
    jets = CompiledScoreJet(mlp, theta, points, directions), ScoreJet(mlp, mlp.views(theta))
    same(*([jet.evaluate(x, v).clone(), jet.backward(bars).clone()] for jet in jets))


def same(one, other):
    tolerance = 1e-12 if one[0].dtype == torch.float64 else 1e-4
    for a, b in zip(one, other, strict=True):
        assert a.shape == b.shape
        assert (a - b).norm() <= tolerance * (1 + b.norm())


@pytest.mark.parametrize("activation", ["swish", "softplus"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_scores_without_a_graph_equal_those_with_one(activation, depth):
    mlp, points = MLP(3, "energy", 48, depth, activation), 3001
    theta = mlp.init([torch.Generator().manual_seed(k) for k in range(2)], torch.float64)
    x = numbers(1, 2, points, 3)
    plain = NetworkModel(mlp, theta).score(x)
    graph = NetworkModel(mlp, theta.requires_grad_()).score(x)
    assert (plain - graph).abs().max() <= 1e-12


@pytest.mark.parametrize("name", ["swish", "softplus"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_and_their_derivatives_over_the_whole_range(name, dtype):
    a = np.concatenate([np.linspace(-30, 30, 4001), [-700, -90, 90, 700, 0]]).astype(dtype)
    found = activated(name, a)

    x = torch.from_numpy(a).double().requires_grad_()
    functions = {"swish": torch.nn.functional.silu, "softplus": torch.nn.Softplus(threshold=50)}
    expected = [functions[name](x)]
    for _ in range(3):
        expected.append(torch.autograd.grad(expected[-1].sum(), x, create_graph=True)[0])
    exact = [e.detach().numpy() for e in expected]
    for got, wanted in zip(found, exact, strict=True):
        error = np.abs(got - wanted) / (1 + np.abs(wanted))
        assert error.max() <= (3e-7 if dtype == np.float32 else 1e-14)
    relative = np.abs(found[0] - exact[0])[:4001] / np.abs(exact[0][:4001]).clip(1e-30)
    assert relative.max() <= (5e-7 if dtype == np.float32 else 2e-15)


@compiled
def activate_all(kind, bias, slope, h, second, third):
    """Parts are callable from compiled functions only."""
    activate(kind, bias.shape[0], bias, slope, h, second, third, 1)


def activated(name, a):
    """φ and its three derivatives."""
    slope, h, second, third = (
        a.reshape(1, -1).copy(),
        *(np.zeros((1, len(a)), a.dtype) for _ in "abc"),
    )
    activate_all(KINDS[name], np.zeros(len(a), a.dtype), slope, h, second, third)
    return [part[0] for part in (h, slope, second, third)]


@pytest.mark.parametrize("name", ["swish", "softplus"])
def test_what_is_no_number_stays_none(name):
    for found in activated(name, np.full(20, np.nan, np.float32)):
        assert np.isnan(found).all()


def test_gradients_outlive_the_next_step():
    mlp = MLP(2, "energy", 16, 2, "swish")
    theta = mlp.init([torch.Generator().manual_seed(0)]).requires_grad_()
    model, x = NetworkModel(mlp, theta), numbers(1, 1, 8, 2, dtype=torch.float32)
    (kept,) = torch.autograd.grad(model.score(x).square().sum(), theta)
    copy = kept.clone()
    torch.autograd.grad(model.score(2 * x).square().sum(), theta)
    assert torch.equal(kept, copy)


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize(("routine", "dtype"), [("sgemm", np.float32), ("dgemm", np.float64)])
def test_products_are_those_of_torch_or_else_of_scipy(monkeypatch, tmp_path, found, routine, dtype):
    if not found:
        monkeypatch.setattr(torch, "__file__", str(tmp_path / "__init__.py"))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(gemm._address(routine))
    # (3, 2) times (2, 4), for a routine that counts by columns.
    left, right = (
        np.arange(n, dtype=dtype).reshape(shape) for n, shape in ((6, (3, 2)), (8, (2, 4)))
    )
    made = np.zeros((3, 4), dtype)
    sizes = [np.array(n, np.int32) for n in (4, 3, 2)]
    one, zero, flag = np.array(1, dtype), np.array(0, dtype), np.array(b"N")
    columns, rows, inner = sizes
    given = [
        flag,
        flag,
        columns,
        rows,
        inner,
        one,
        right,
        columns,
        left,
        inner,
        zero,
        made,
        columns,
    ]
    call(*(part.ctypes.data for part in given))
    assert np.array_equal(made, left @ right)


@pytest.mark.parametrize("dim", [2, 12])
@pytest.mark.parametrize("kind", ["energy", "score"])
def test_points_of_another_precision_are_taken_at_that_of_the_network(kind, dim):
    mlp = MLP(dim, kind, 20)
    theta = mlp.init([torch.Generator().manual_seed(0)])
    x, v = numbers(1, 1, 8, dim), numbers(2, 1, 2, 8, dim)
    model = NetworkModel(mlp, theta)
    for made, expected in [
        (model.score(x), model.score(x.float())),
        (model.score_and_curvature(x, v)[0], model.score_and_curvature(x.float(), v.float())[0]),
        (model.score_and_curvature(x, v)[1], model.score_and_curvature(x.float(), v.float())[1]),
    ]:
        assert torch.allclose(made.float(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["energy", "score"])
def test_one_jet_serves_step_after_step_with_a_graph_too(kind):
    mlp = MLP(2, kind, 16, 2, "swish")
    theta = mlp.init([torch.Generator().manual_seed(0)]).requires_grad_()
    closed, x = ClosedForm(mlp, theta), numbers(1, 1, 8, 2, dtype=torch.float32)
    for _ in range(3):
        (_, score, _, _), _ = closed.jet(x, None, ("score",), training=True)
        torch.autograd.grad(score.square().sum(), theta)
        del score
    assert [len(jets) for jets in closed.idle.values()] == [1]


def test_compiled_adam_equals_that_of_torch():
    theta, gradient = (numbers(s, 3, 50, dtype=torch.float32) for s in (1, 2))
    gradient *= torch.tensor([[1.0], [30.0], [1e3]])
    rates, moved = torch.tensor([[1e-2], [1e-3], [0.1]]), []
    for loops in (True, False):
        here = theta.clone()
        adam = Adam(rates, torch.zeros_like(theta), torch.zeros_like(theta))
        adam.compiled = loops
        for step in range(1, 20):
            norm, finite = adam.step(here, gradient * step, 0.5, 100.0)
            assert finite
        broken = gradient.clone()
        broken[1, 7] = torch.inf
        before = here.clone()
        lengths, finite = adam.step(here, broken)
        assert not finite
        assert torch.isfinite(lengths).flatten().tolist() == [True, False, True]
        assert torch.equal(here, before)
        assert adam.steps == 19
        moved.append((here, norm))
    for a, b in zip(*moved, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_where_nothing_can_be_kept_on_disk_functions_are_compiled_all_the_same(monkeypatch):
    njit, asked = numba.njit, []

    def refuse(*function, cache=False, **options):
        if not function:
            asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(*function, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    assert compiled(lambda x: x + 1)(2) == 3
    assert asked[:2] == [True, False]


def test_nothing_is_compiled_before_something_is_trained():
    code = (
        "import sys, scorebench.bench.run, scorebench.studies.study; print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("kind", ["full", "damaged"])
def test_the_cache_of_machine_code_is_best_effort(monkeypatch, tmp_path, kind):
    def broken(*_):
        raise OSError("no space left") if kind == "full" else ValueError("damaged")

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled_module, "_home", compiled_module._home.__wrapped__)
    before = compiled(_twice)
    assert before(2.0) == 4.0
    monkeypatch.setattr(FunctionCache, "_save_overload", broken)
    monkeypatch.setattr(FunctionCache, "_load_overload", broken)
    function = compiled(_twice)
    assert function.stats.cache_path.startswith(str(tmp_path))
    assert function(2.0) == 4.0
    assert not function.stats.cache_hits


def test_machine_code_is_compiled_once_and_then_read_from_a_private_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiled_module, "_home", compiled_module._home.__wrapped__)
    first, later = compiled(_twice), compiled(_twice)
    assert (first(2.0), later(2.0)) == (4.0, 4.0)
    assert [sum(f.stats.cache_hits.values()) for f in (first, later)] == [0, 1]
    assert [is_private(folder) for folder in tmp_path.iterdir()] == [True]


def test_functions_are_compiled_where_numba_is_told_not_to(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert compiled(_twice).nopython_signatures == []
    assert numba.config.DISABLE_JIT == 1


def _twice(x):
    return 2 * x
