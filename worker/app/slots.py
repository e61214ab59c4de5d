"""Where a worker keeps its local stores: a slot of DATA_DIR/store that no other process holds.

Two workers on one machine may share DATA_DIR; each locks the first free slot, and a restarted worker finds its stores
again. The lock dies with the process.
"""

import fcntl
from pathlib import Path
from typing import IO

_SLOTS = 256


class Slot:
    """A locked folder."""

    def __init__(self, path: Path, lock: IO[bytes]) -> None:
        self.path = path
        self._lock = lock

    def release(self) -> None:
        """Let another process have it."""
        self._lock.close()


def take(root: Path) -> Slot:
    """Lock the first free slot under root. Raises OSError where root cannot be written."""
    root.mkdir(parents=True, exist_ok=True)
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
