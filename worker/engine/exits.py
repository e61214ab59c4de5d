"""The only way out of an unexpected state: end the process at once.

A crash is always safe, because nothing local is ahead of the committed transactions; going on after an unknown error
is not, and neither is hanging. A supervisor restarts the process. The codes are documented for operators.
"""

import os
import sys
from enum import IntEnum
from typing import NoReturn

import structlog

log = structlog.get_logger(__name__)


class ExitCode(IntEnum):
    """Why the worker ended itself."""

    BATCH_FAILED = 70
    FENCED = 71
    RESTORE_FAILED = 72
    DEADLINE = 73
    STORE_AHEAD = 74
    SHUTDOWN_DEADLINE = 75
    SKIPPED_RECORDS = 76
    STORE_FAILED = 77


def die(code: ExitCode, why: str, *, error: BaseException | None = None) -> NoReturn:
    """Log and end the process without clean-up. why holds no personal data; worker.logs keeps the values of error out."""
    log.critical("worker ends", exit_code=int(code), why=why, exc_info=error)
    _exit(code)


def leave(why: str) -> NoReturn:
    """End the process cleanly, but without waiting for anything any more."""
    log.warning("worker leaves", why=why)
    _exit(0)


def _exit(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
