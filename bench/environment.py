"""Machine and software of a result: everything that may change its last bits, nothing private.

No host names, user names or absolute paths are recorded, so the record can be published.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from ..datasets.machine import cpu_model

_ROOT = Path(__file__).resolve().parents[1]

# Variables by which MKL, OpenBLAS, oneDNN, NumPy, the C library, torch and Numba compute other last
# bits. Those that only set threads or folders are left out: workers may have others.
VARIABLES = (
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
    "ATEN_CPU_CAPABILITY",
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_DISABLE_INTEL_SVML",
    "NUMBA_DISABLE_JIT",
    "NUMBA_ENABLE_AVX",
    "NUMBA_LOOP_VECTORIZE",
    "NUMBA_OPT",
    "NUMBA_SLP_VECTORIZE",
)


def environment() -> dict[str, object]:
    """Describe this process and its machine, as plain JSON values.

    Returns:
        ``scorebench`` (version), ``code`` (git commit of the checkout and whether files differ
        from it; None outside a checkout), ``python``, ``platform``, ``cpu``, ``threads`` (per run),
        ``packages`` (version by name, None if missing), ``torch`` (its build and the devices) and,
        if any are set, ``settings`` (environment variables that change the last bits of numbers).
    """
    from ..datasets.steady import THREADS

    settings = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    record: dict[str, object] = {
        "scorebench": version_of("scorebench"),
        "code": checkout(_ROOT),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        # Not the kernel's release: it often contains a private name, and changes no number.
        "platform": " ".join([platform.system(), platform.machine(), *platform.libc_ver()]).strip(),
        "cpu": {"model": cpu_model(), "cores": os.cpu_count()},
        "threads": THREADS,
        "packages": {name: version_of(name) for name in _requirements()},
        "torch": _torch(),
    }
    # Records without settings have the text, and so the identity, of earlier versions.
    return {**record, "settings": settings} if settings else record


def environment_id(record: dict[str, object]) -> str:
    """Hash an environment to 12 hexadecimal digits.

    The commit and version of scorebench are left out: each run's key covers the code.
    """
    facts = {key: value for key, value in record.items() if key not in ("code", "scorebench")}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def checkout(root: Path) -> dict[str, object] | None:
    """Return the commit of the working tree at ``root``; None outside a checkout or without git."""
    git = shutil.which("git")
    # Without this test a copy installed inside another checkout would report that checkout.
    if git is None or not (root / ".git").exists():
        return None

    def answer(*command: str) -> str:
        return subprocess.run(  # noqa: S603 - fixed arguments, no shell
            [git, "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        commit = answer("rev-parse", "HEAD")
        changed = answer("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "modified": bool(changed)}


def _torch() -> dict[str, object]:
    import torch

    config = torch.__config__
    built = f"{config.show()}\n{config.parallel_info()}"
    libraries = re.findall(r"^\s*-?\s*(Intel\(R\) [^\n]*Version [\w.]+|OpenMP [\w.]+)", built, re.M)
    blas = re.search(r"BLAS_INFO=(\w+)", built)
    return {
        "version": torch.__version__,
        "blas": blas.group(1) if blas else None,
        "libraries": sorted(set(libraries)),
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.version.cuda,
        "devices": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
    }


def _requirements() -> tuple[str, ...]:
    """List the packages that scorebench requires."""
    try:
        lines = metadata.requires("scorebench") or []
    except metadata.PackageNotFoundError:
        return ()
    names = (re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line)
    return tuple(sorted(name.group().lower() for name in names if name))


def version_of(package: str) -> str | None:
    """Return the installed version of a package; None without it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
