"""The only way out of an unexpected state: end the process at once.

A crash is always safe, because the local store is never ahead of the committed transactions. To go on after an unknown
error is not safe, and neither is hanging. A supervisor restarts the process. The exit codes are documented for operators.
"""

import os
import sys
from contextlib import suppress
from enum import IntEnum
from typing import Any, NoReturn

import structlog

log = structlog.get_logger(__name__)

ENDS_WITHIN_S = 8.0
"""How long a process may take to end, once it is told to stop."""

told_before_the_start = False
"""Whether `stop_before_the_start` has been called."""


class ExitCode(IntEnum):
    """Why the worker ended itself."""

    WRONG_SETTINGS = 2
    BATCH_FAILED = 70
    FENCED = 71
    RESTORE_FAILED = 72
    DEADLINE = 73
    STORE_AHEAD = 74
    SHUTDOWN_DEADLINE = 75
    SKIPPED_RECORDS = 76
    STORE_FAILED = 77
    NEWER_DATA = 78
    TASK_FAILED = 79


def stop_before_the_start(_signal: int, _frame: object) -> NoReturn:
    """Handle a stop signal while no worker has handlers of its own: end, because nothing has to be finished.

    Python drops the exception if the signal comes while a finalizer runs. A worker that starts all the same then stops.

    Raises:
        SystemExit: always.
    """
    global told_before_the_start
    told_before_the_start = True
    raise SystemExit(0)


def code_of(error: BaseException, otherwise: ExitCode) -> ExitCode:
    """FENCED if the error says that a newer owner fenced this one; else the other code."""
    fenced = type(error).__name__ in {"ProducerFenced", "InvalidProducerEpoch", "InvalidTxnState"}
    return ExitCode.FENCED if fenced else otherwise


def die(code: ExitCode, why: str, *, error: BaseException | None = None, at: Any = None) -> NoReturn:
    """Log why, and end the process without clean-up.

    Args:
        code: the exit code.
        why: a sentence without personal data.
        error: the exception, if any. worker.observability.logs keeps its values out of the log.
        at: the input record at hand, if any. Its topic, partition and offset are logged.
    """
    source = {} if at is None else {"topic": at.topic, "partition": at.partition, "offset": at.offset}
    log.critical("worker ends", exit_code=int(code), why=why, **source, exc_info=error)
    _exit(code)


def leave(why: str) -> NoReturn:
    """End the process with exit code 0, without waiting for anything."""
    log.warning("worker leaves", why=why)
    _exit(0)


def _exit(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(code)
