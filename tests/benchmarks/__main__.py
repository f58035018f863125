"""Print the table of ``docs/performance.md``: ``make benchmarks``, or with names of parts.

Every row compares two things that were timed alternately in this process. Give the machine
nothing else to do; what else runs hits both sides, but not always equally.
"""

import argparse
import platform
from collections.abc import Callable, Iterator

from scorebench.bench.environment import environment

from . import in_jax, metrics, quality, sampling, studies, training
from .timing import Row

PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "training": training.rows,
    "sampling": sampling.rows,
    "metrics": metrics.rows,
    "studies": studies.rows,
    "quality": quality.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    chosen = parser.parse_args().parts or list(PARTS)
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}: known are {', '.join(PARTS)}")
    machine = environment()
    print(
        f"{machine['cpu']['model']}, {machine['cpu']['cores']} cores, {platform.system()}; ", end=""
    )
    print(f"torch {machine['torch']['version']}, {machine['torch']['vector_instructions']}\n")
    if not in_jax.INSTALLED:
        print("JAX is not installed: its times are left out.\n")
    print("| what | scorebench | goal | measured |\n|---|---|---|---|")
    for part in chosen:
        for row in PARTS[part]():
            print(f"| {row.what} | {row.ours} | {row.goal} | {row.found} |", flush=True)


if __name__ == "__main__":
    main()
