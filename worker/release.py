"""The release of this program, its commit and its data format."""

import json
import os
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

NAME = "customer-context"
DATA_FORMAT = 3
"""The format of stores and changelogs. A worker reads this and all older formats, and refuses a newer one (exit 78)."""

UNKNOWN = "unknown"
_COMMIT_DIGITS = 12
_GIT_WITHIN_S = 5.0


@cache
def version() -> str:
    """The release, such as 0.2.0; `unknown` when the package is not installed."""
    try:
        return distribution(NAME).version
    except PackageNotFoundError:
        return UNKNOWN


@cache
def commit() -> str:
    """The first digits of the commit that this program was built from; `unknown` if no source names it.

    The sources are CUSTOMER_CONTEXT_COMMIT (in an image), pip's metadata of an installation from a repository, and git.
    """
    return (os.environ.get("CUSTOMER_CONTEXT_COMMIT") or _installed() or _checked_out() or UNKNOWN)[
        :_COMMIT_DIGITS
    ]


def _installed() -> str:
    """The commit of an installation by pip from a repository (PEP 610)."""
    try:
        text = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return ""
    return str(json.loads(text or "{}").get("vcs_info", {}).get("commit_id", ""))


def _checked_out() -> str:
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(
            asked, capture_output=True, text=True, check=True, timeout=_GIT_WITHIN_S
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
