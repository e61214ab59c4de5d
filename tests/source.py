"""Reading the project's own source."""

import ast
from pathlib import Path

_TRIES = 10


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file.

    CPython 3.11 raises SystemError where another thread makes a tree at the same moment (gh-106905), as printing a
    traceback does.
    """
    for _ in range(_TRIES - 1):
        try:
            return ast.parse(path.read_text())
        except SystemError:
            continue
    return ast.parse(path.read_text())
