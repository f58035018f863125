"""The processor, which decides the last bits of results."""

import platform
import re
from functools import cache
from pathlib import Path


@cache
def cpu_model() -> str:
    """What the processor calls itself."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", information.read_text("utf-8"), re.M)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()
