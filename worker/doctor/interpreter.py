"""The Python interpreter: whether it was built with profile-guided optimization (PGO)."""

import platform
from collections.abc import Mapping
from typing import Any

from worker.doctor.findings import Finding, ok

_PROFILE = "-fprofile-use"


def interpreter(variables: Mapping[str, Any]) -> Finding:
    """What runs the worker. A build without PGO is a hint, and no fault. variables: those of sysconfig."""
    runs = f"{platform.python_implementation()} {platform.python_version()} runs the worker"
    if is_without_pgo(variables):
        return ok(
            "python",
            f"{runs}. It was built without --enable-optimizations; a build with it takes less CPU.",
        )
    return ok("python", f"{runs}.")


def is_without_pgo(variables: Mapping[str, Any]) -> bool:
    """Whether the interpreter was surely built without PGO. False when its build does not say it.

    `configure --enable-optimizations` builds with PGO. Debian profiles its builds in its own way, and removes the flags
    from the variables, PGO_PROF_USE_FLAG among them. So a build that lacks it tells nothing.

    Args:
        variables: those of sysconfig, from the Makefile of the build.
    """
    flags = str(variables.get("PGO_PROF_USE_FLAG") or "")
    if _PROFILE not in flags:  # a compiler with flags of its own, or a build that was cleaned up
        return False
    optimized = "--enable-optimizations" in str(variables.get("CONFIG_ARGS") or "")
    used = any(_PROFILE in str(value) for name, value in variables.items() if name.startswith("PY_"))
    return not optimized and not used
