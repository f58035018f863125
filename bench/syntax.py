"""Code as its syntax tree: what stays the same when comments, docstrings and formatting change."""

import ast
import hashlib


def module_digest(text: str) -> str:
    """Short hash of a module's code, which comments, docstrings and formatting do not change."""
    return hashlib.sha256(dump(ast.parse(text)).encode()).hexdigest()[:12]


def dump(tree: ast.AST) -> str:
    """A syntax tree as text, without docstrings and positions, alike in all versions of Python.

    Unlike ``ast.dump`` it leaves out absent and empty fields, which later versions add.
    """
    pieces: list[str] = []
    _dump(tree, pieces)
    return "".join(pieces)


def _dump(value: object, pieces: list[str]) -> None:
    if isinstance(value, ast.Constant):
        pieces.append(f"{type(value.value).__name__}:{value.value!r};")
    elif isinstance(value, ast.AST):
        pieces.append(f"{type(value).__name__}(")
        for name, field in ast.iter_fields(value):
            if field is not None and field != [] and name not in ("ctx", "type_comment"):
                pieces.append(f"{name}=")
                _dump(field, pieces)
        pieces.append(")")
    elif isinstance(value, list):
        pieces.append("[")
        for item in value:
            if not _is_text(item):
                _dump(item, pieces)
        pieces.append("]")
    else:
        pieces.append(f"{value!r};")


def _is_text(item: object) -> bool:
    """Whether a statement is a bare string: a docstring, or one that documents a name."""
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )
