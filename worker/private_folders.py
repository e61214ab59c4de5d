"""Folders that only their owner can read, because they contain personal data.

Rules:
- A folder that is made here has mode 0700, whatever the umask.
- An existing folder of ours is restricted at each start. A folder of another user stays as it is; `doctor` reports it.
- An existing DATA_DIR is not changed, because it may be a mount or somebody's home.
"""

import os
from pathlib import Path

PRIVATE = 0o700


def make_private(folder: Path) -> None:
    """Make the folder and its missing parents, or restrict an existing folder of ours to 0700. Raises OSError."""
    make_missing(folder)
    found = folder.stat()
    if found.st_uid == os.geteuid() and found.st_mode & 0o077:
        folder.chmod(PRIVATE)


def make_missing(folder: Path) -> None:
    """Make the folder and its missing parents; an existing folder stays as it is. Raises OSError."""
    if folder.is_dir():
        return
    make_missing(folder.absolute().parent)
    folder.mkdir(PRIVATE, exist_ok=True)


def is_open_to_others(folder: Path) -> bool:
    """Whether users other than its owner may read or change the folder; False when it does not exist."""
    return folder.is_dir() and folder.stat().st_mode & 0o077 != 0
