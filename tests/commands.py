"""The command line in a process of its own."""

import subprocess
import sys


def scorebench(*arguments, cwd=None, check=None):
    done = subprocess.run(
        [sys.executable, "-m", "scorebench", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, timeout=300,
    )  # fmt: skip
    if check is not None:
        assert done.returncode == check, done.stderr + done.stdout
    return done
