"""The folder of a worker's local stores: a numbered slot of DATA_DIR/store, locked by one process.

Workers on one machine may share DATA_DIR, because each locks the first free slot. A restarted worker finds its stores
again. The lock ends with the process.
"""

import fcntl
from pathlib import Path
from typing import IO

from worker.private_folders import make_private

_SLOTS = 256


class Slot:
    """A locked folder. path: the folder; lock: the open lock file, which holds the lock until it is closed."""

    def __init__(self, path: Path, lock: IO[bytes]) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Unlock the folder, so that another process can lock it."""
        self._lock.close()


def take(root: Path) -> Slot:
    """Lock the first free slot under root. Raises OSError if root cannot be written or all slots are locked."""
    make_private(root)
    for number in range(_SLOTS):
        path = root / str(number)
        path.mkdir(exist_ok=True)
        lock = (path / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return Slot(path, lock)
    raise OSError(f"all {_SLOTS} slots of {root} are taken by running workers")
