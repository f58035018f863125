"""Print the GPU's table of ``docs/performance.md``: ``make gpu``, eight minutes at most.

On a CUDA device it runs the tests that need one, and compares training, Langevin chains and MMD
with one CPU core and with plain torch on the same device. Elsewhere it says that there is none.
"""

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from scorebench.bench.metrics.mmd import kernel_sums
from scorebench.bench.process import one_thread
from scorebench.methods import samplers
from scorebench.methods.network_model import NetworkModel
from scorebench.methods.networks import MLP
from scorebench.methods.random import MemberRandom

from . import plain
from .training import trainer

MEMBERS, WIDTHS = (1, 16, 64, 256), (64, 128, 300)
BATCH, CHAINS, CHAIN_STEPS = 100, 1000, 20
MOST_SECONDS = 8 * 60
BANDWIDTHS = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0]


def seconds_of(work: Callable[[], object], device: str, rounds: int = 3) -> float:
    """Median time of a call after one that warms up; the device has finished each."""
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[rounds // 2]


def langevin(width: int, members: int, device: str) -> Callable[[], object]:
    """A function that runs the chains of all members."""
    mlp = MLP(2, "energy", width, 2, "swish")
    generators = [torch.Generator().manual_seed(k) for k in range(members)]
    model = NetworkModel(mlp, mlp.init(generators).to(device))
    sampler = samplers.get("langevin")(steps=CHAIN_STEPS)
    return lambda: sampler.sample(model, CHAINS, MemberRandom(generators, device))


def rows(
    device: str,
    end: float,
    widths: Sequence[int] = WIDTHS,
    members: Sequence[int] = MEMBERS,
    steps: int = 50,
    points: int = 10_000,
) -> Iterator[str]:
    """Lines of the table, until ``end`` on the monotonic clock."""
    with_cpu = importlib.util.find_spec("numba") is not None

    def line(what: str, unit: float, mine: float, cpu: float | None, other: float) -> str:
        core = "–" if cpu is None else f"{cpu / mine:.1f} ×"
        return f"| {what} | {mine * unit:.3g} | {core} | {other / mine:.1f} × |"

    for width in widths:
        by_plain = plain.Trainer("dsm", width, BATCH, device=device)
        other = seconds_of(lambda m=by_plain: [m.step() for _ in range(steps)], device) / steps
        alone = plain.Energy(width).to(device)
        chain = seconds_of(lambda m=alone: plain.langevin(m, CHAINS, CHAIN_STEPS), device)
        core = None
        if with_cpu:
            core = seconds_of(trainer("dsm", width, 8, BATCH, steps=steps), "cpu") / steps / 8
            cores = seconds_of(langevin(width, 1, "cpu"), "cpu")
        for k in members:
            if time.monotonic() > end:
                yield f"| width {width}, K = {k} and beyond | out of time | | |"
                return
            step = trainer("dsm", width, k, BATCH, steps=steps, device=device)
            mine = seconds_of(step, device) / steps / k
            yield line(f"µs a step and member, dsm, width {width}, K = {k}", 1e6, mine, core, other)
            mine = seconds_of(langevin(width, k, device), device) / k
            what = f"ms for {CHAINS} chains × {CHAIN_STEPS} of a member, width {width}, K = {k}"
            yield line(what, 1e3, mine, cores if with_cpu else None, chain)
    x, y = (torch.randn(2, points, device=device) for _ in "xy")
    other = seconds_of(lambda: plain.mmd(x.T, y.T, BANDWIDTHS), device) / 3
    # Samples are scored on the CPU, wherever they were drawn.
    mine = seconds_of(lambda: kernel_sums(x.cpu(), y.cpu(), len(BANDWIDTHS)), device)
    yield line(
        f"ms for the kernels of MMD, {points} against {points}, always on the CPU",
        1e3,
        mine,
        mine,
        other,
    )


def main() -> int:
    argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__).parse_args()
    if not torch.cuda.is_available():
        print("There is no CUDA device here: nothing to measure.")
        return 0
    end = time.monotonic() + MOST_SECONDS
    status = 0
    if importlib.util.find_spec("pytest") is not None:
        tests = Path(__file__).parents[1] / "bench" / "test_device.py"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", str(tests)]
        status = subprocess.run(command, check=False, timeout=MOST_SECONDS / 2).returncode
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| what | time | against one CPU core | against plain torch there |\n|---|---|---|---|")
    with one_thread():
        for row in rows("cuda", end - 30):
            print(row, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
