"""Files that appear whole or not at all, so that nobody takes the half of one for the whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_MODE = 0o666  # the umask takes its part away, as of any new file


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A file to write UTF-8 text into. It gets its name at the end of the context, unless that raises.

    A file of that name is replaced. Where the name is a symbolic link, the file that it leads to is replaced.
    Raises OSError.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
