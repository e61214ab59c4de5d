"""The libraries that the tests compare with the Python forms, and the choice of one for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from worker import native
from worker.native.build import LIBRARY, NotBuilt, build, load

PORTABLE = "-DPORTABLE"
"""As on a processor without the instructions of SHA-1 and CRC32C."""


@cache
def library(*flags: str) -> native.Codecs:
    """The library built from this source. Skips the test where no C compiler is.

    TESTS_NATIVE_FLAGS are further flags of the compiler, for example those of sanitizers.
    """
    usable, _ = native.library()
    if usable is not None and not (flags or _more_flags()):
        return usable
    with TemporaryDirectory() as folder:
        return loaded_anew(Path(folder), *flags)


def loaded_anew(folder: Path, *flags: str) -> native.Codecs:
    """A library in this folder that no test has called yet, and that shares no memory with others."""
    path = folder / LIBRARY
    path.write_bytes(_built(*flags))
    codecs: native.Codecs = load(path)
    return codecs


@cache
def _built(*flags: str) -> bytes:
    try:
        with TemporaryDirectory() as folder:
            return build(Path(folder), (*flags, *_more_flags())).read_bytes()
    except NotBuilt as error:
        pytest.skip(str(error))


def _more_flags() -> list[str]:
    return os.environ.get("TESTS_NATIVE_FLAGS", "").split()


@contextmanager
def using(codecs: native.Codecs | None) -> Iterator[None]:
    """Use these codecs; None for the Python forms."""
    before, native.chosen = native.chosen, codecs
    try:
        yield
    finally:
        native.chosen = before
