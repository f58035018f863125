"""Read the study of a file, run directory or archive without importing anything, and trust it."""

from collections.abc import Sequence
from pathlib import Path

from .archive import unpacked
from .rundir.read import STUDY
from .specs.load import read_study_file
from .specs.spec import StudySpec
from .trust import Trusted
from .trust import trust as trust_code


def study_of(source: str | Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read the study of a file, run directory or archive, or a packaged one.

    Raises:
        UsageError: There is no such study, or it is invalid.
    """
    path = Path(source)
    if not path.is_dir() and path.suffix != ".zip":
        return read_study_file(source, overrides)
    with unpacked(path) as folder:
        return read_study_file(folder / STUDY, overrides)


def trust(study: str | Path | StudySpec) -> list[Trusted]:
    """Allow the code of a study to be executed on this machine, now and later; nothing is run.

    Args:
        study: Path of a study file, run directory or archive, or a study.

    Returns:
        Its plug-in files and modules, with their hashes.

    Raises:
        UsageError: There is no such study, or a module of it is not installed.
    """
    spec = study if isinstance(study, StudySpec) else study_of(study)
    return trust_code(spec.code)
