"""Compiles the codecs in C: `python -m worker.native`. The wheel's build hook (hatch_build.py) does the same.

Uses the standard library only, because the hook runs without the worker's packages. Needs a C compiler and Python's
headers, and takes seconds. CC names the compiler; otherwise it is the one that built Python, or `cc`.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER / "compiled.c"
SOURCES = (SOURCE, FOLDER / "counting.h")
LIBRARY = "compiled.abi3.so"
"""The name says that it uses the stable ABI. So it serves later versions of Python too."""

FLAGS = ("-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter")
_LINK = ("-bundle", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared",)
_MOST_SECONDS = 120


class NotBuilt(Exception):
    """The library could not be compiled. The text is one line."""


def build(folder: Path = FOLDER, more: Sequence[str] = ()) -> Path:
    """Compile the library and load it once.

    Args:
        folder: where to put the library. A process that has loaded an older one keeps that.
        more: further flags of the compiler.

    Returns:
        The library's path.

    Raises:
        NotBuilt: there is no compiler or header, or the compiler or the loader failed.
    """
    try:
        with TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / LIBRARY
            command = [
                *compiler(),
                *FLAGS,
                *_LINK,
                f'-DSOURCE="{digest()}"',
                f"-I{sysconfig.get_path('include')}",
            ]
            subprocess.run(
                [*command, *more, str(SOURCE), "-o", str(made)],
                check=True,
                capture_output=True,
                timeout=_MOST_SECONDS,
            )
            load(made)
            return made.replace(folder / LIBRARY)
    except subprocess.CalledProcessError as error:
        first, *_ = error.stderr.decode(errors="replace").splitlines() or [""]
        raise NotBuilt(f"the compiler failed: {first}") from None
    except (OSError, ImportError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(f"{type(error).__name__}: {error}") from None


def digest() -> str:
    """SHA-256 in hex of the source in C. It is compiled into the library."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()


def load(library: Path) -> Any:
    """The library as a module of its own, whatever name it is imported by elsewhere. Raises ImportError."""
    loader = ExtensionFileLoader("compiled", str(library))
    spec = spec_from_loader("compiled", loader)
    if spec is None:
        raise ImportError("no library")
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def compiler() -> list[str]:
    """The command of the C compiler. Raises NotBuilt if there is none."""
    named = os.environ.get("CC")
    for command in [named] if named else [sysconfig.get_config_var("CC") or "", "cc"]:
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    raise NotBuilt("there is no C compiler")


def main(folder: Path = FOLDER) -> None:
    """Build the library in this folder, if it is not up to date, and say so in one line."""
    library = folder / LIBRARY
    try:
        if not _is_current(library):
            build(folder)
    except NotBuilt as error:
        sys.exit(f"The codecs in C were not built, so the Python forms are used: {error}")
    print(f"The codecs in C are built: {library}")  # noqa: T201 - what this program says


def _is_current(library: Path) -> bool:
    try:
        return bool(digest() == load(library).SOURCE)
    except (ImportError, AttributeError):
        return False
