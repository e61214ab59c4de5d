"""Refuse to run with any Faust or aiokafka other than the one for which the patches were written.

The exact versions are pinned. A hash of the source of every method in worker.engine.patches.table also detects a
modified copy. aiohttp and email-validator may be newer. Their guard is the parameter names of a method, and tests check
what the method does.
"""

import hashlib
import importlib
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from mode.services import ServiceTask

from worker.engine.patches.table import PATCHES

VERSIONS = {
    "faust-streaming": "0.15.3",
    "mode-streaming": "0.7.1",
    "aiokafka": "0.14.0",
    "rocksdict": "0.3.29",
}

_PINNED = ("faust", "mode", "aiokafka")


class UnknownVersion(RuntimeError):
    """An installed library is not the one on which the patches were proven; the text names it."""


def check() -> None:
    """Compare the installed versions and methods with the guards.

    Raises:
        UnknownVersion: a version or a method's guard differs.
    """
    for name, wanted in VERSIONS.items():
        if version(name) != wanted:
            raise UnknownVersion(
                f"{name} {version(name)} is installed, but the engine needs exactly {wanted}"
            )
    for patch in PATCHES:
        if guard_of(patch.method) != patch.guard:
            raise UnknownVersion(f"{patch.method} is not the one that the engine was written against")


def guard_of(method: str) -> str:
    """The guard of the installed method.

    Args:
        method: module:Class.method, or module:function.

    Returns:
        The first 16 hex digits of the SHA-256 of its source. For a library that may be newer, its parameter names.
    """
    theirs = _their_method(*method.split(":"))
    if method.partition(".")[0] not in _PINNED:
        return ", ".join(inspect.signature(theirs).parameters)
    return hashlib.sha256(inspect.getsource(theirs).encode()).hexdigest()[:16]


def _their_method(module: str, qualified: str) -> Callable[..., Any]:
    """The library's own method, even if one of our patches is in its place."""
    class_name, _, name = qualified.rpartition(".")
    found: Any = importlib.import_module(module)
    if class_name:  # a subclass of ours may be in the class's place
        found = next(each for each in getattr(found, class_name).__mro__ if each.__module__ == module)
    found = inspect.unwrap(inspect.getattr_static(found, name))
    return found.fun if isinstance(found, ServiceTask) else found
