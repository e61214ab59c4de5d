"""The libraries that the tests compare with the Python forms, and the choice of one for a while."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from worker import native
from worker.native.build import NotBuilt, build, load

PORTABLE = "-DPORTABLE"
"""As on a processor without the instructions of SHA-1 and CRC32C."""


@cache
def library(*flags: str) -> native.Codecs:
    """The library built from this source. Skips the test where no C compiler is.

    TESTS_NATIVE_FLAGS are further flags of the compiler, for example those of sanitizers.
    """
    flags = (*flags, *os.environ.get("TESTS_NATIVE_FLAGS", "").split())
    usable, _ = native.library()
    if usable is not None and not flags:
        return usable
    try:
        with TemporaryDirectory() as folder:
            codecs: native.Codecs = load(build(Path(folder), flags))
    except NotBuilt as error:
        pytest.skip(str(error))
    return codecs


@contextmanager
def using(codecs: native.Codecs | None) -> Iterator[None]:
    """Use these codecs; None for the Python forms."""
    before, native.chosen = native.chosen, codecs
    try:
        yield
    finally:
        native.chosen = before
