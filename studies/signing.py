"""Sign outcomes with SSH keys, and check who signed one.

``ssh-keygen`` does both, as for commits: a signature is a file beside the outcome, and a list of
allowed signers, in the format of ``man ssh-keygen``, assigns keys to signers.
"""

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from ..datasets.errors import UsageError
from .outcome import Verification, read_outcome
from .rundir.files import refusing
from .rundir.strict import LARGEST, open_plain

NAMESPACE = "scorebench"
"""Purpose of a signature: one for a commit or message by the same key is not valid here."""

SUFFIX = ".sig"


class Proof(NamedTuple):
    """An outcome as it is stored.

    Attributes:
        outcome: The outcome.
        content: The bytes of its file, which are signed.
        signature: The signature; empty without one.
        signer: The signer, by a list of allowed signers; empty if unknown.
    """

    outcome: Verification
    content: bytes
    signature: bytes
    signer: str

    @property
    def by(self) -> str:
        """The signer, or the state of the signature."""
        doubt = "signature not checked" if self.signature else "unsigned"
        return f"signed by {self.signer}" if self.signer else doubt

    @property
    def sentence(self) -> str:
        """Result, date and signer."""
        return f"{self.outcome.headline}, on {self.outcome.date}, {self.by}"


def sign(content: bytes, key: Path) -> bytes:
    """Sign the content of an outcome with a private key, or a public one that an agent has.

    Raises:
        UsageError: It cannot be signed.
    """
    made, why = _keygen("sign", "-f", str(key), given=content)
    if made is None:
        raise UsageError(f"cannot sign with {str(key)!r}: {why}")
    return made


def read_proof(path: Path, signers: Path | None = None) -> Proof:
    """Read an outcome, and check its signature if there is one.

    Args:
        path: The outcome; its signature is beside it.
        signers: A list of allowed signers; None leaves the signature unchecked.

    Raises:
        UsageError: It is no outcome, or its signature is invalid or by a key that is not listed.
    """
    outcome, content = read_outcome(path), path.read_bytes()
    beside = path.with_name(path.name + SUFFIX)
    if not beside.exists():
        return Proof(outcome, content, b"", "")
    with refusing(beside, "read"), open_plain(beside) as file:
        signature = file.read(LARGEST)
    if signers is None:
        return Proof(outcome, content, signature, "")
    # Keys may have expired since; they must be valid on the day of signing.
    given = [
        "-f",
        str(signers),
        "-s",
        str(beside),
        f"-Overify-time={outcome.date.replace('-', '')}",
    ]
    found, why = _keygen("find-principals", *given)
    if found is not None:
        signer = found.decode(errors="replace").splitlines()[0]
        found, why = _keygen("verify", "-I", signer, *given, given=content)
    if found is None:
        raise UsageError(
            f"{str(path)!r} has no valid signature by a key in {str(signers)!r}: {why}"
        )
    return Proof(outcome, content, signature, signer)


def _keygen(action: str, *words: str, given: bytes = b"") -> tuple[bytes | None, str]:
    """Return what ``ssh-keygen -Y`` prints, None if it fails; and its first message."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise UsageError("signatures need ssh-keygen, which is not installed: install OpenSSH")
    name = [] if action == "find-principals" else ["-n", NAMESPACE]
    done = subprocess.run(  # noqa: S603 - fixed actions, no shell
        [program, "-Y", action, *name, *words], input=given, capture_output=True, check=False
    )
    said = done.stderr.decode(errors="replace").strip().splitlines()
    why = next((line for line in said if not line.startswith("Signing ")), "no reason given")
    return (done.stdout if done.returncode == 0 else None), why
