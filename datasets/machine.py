"""The CPU model, on which the last bits of results depend."""

import platform
import re
from functools import cache
from pathlib import Path


@cache
def cpu_model() -> str:
    """Return the CPU model name."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        match = re.search(r"^model name\s*:\s*(.+)$", information.read_text("utf-8"), re.M)
        if match:
            return match.group(1).strip()
    return platform.processor() or platform.machine()
