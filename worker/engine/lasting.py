"""Long-lived tasks: one that ends with an error ends the process.

asyncio keeps such an error to itself. The worker would go on without the task.
Clients of aiokafka that the worker can do without are no such tasks, while they are made in `replaceable`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from worker.engine.exits import ExitCode, code_of, die

Result = TypeVar("Result")


_replaceable = ContextVar("replaceable", default=False)


@contextmanager
def replaceable() -> Iterator[None]:
    """Clients that are started in this block may lose a task to an error, and the process goes on.

    Whoever uses such a client must not wait without a deadline, and must be able to make a new one. One that another
    producer fences is an example.
    """
    before = _replaceable.set(True)
    try:
        yield
    finally:
        _replaceable.reset(before)


def is_replaceable() -> bool:
    """Whether the current task is in such a block, or was created in one."""
    return _replaceable.get()


def lasting(task: asyncio.Task[Result], after_s: float = 0.0) -> asyncio.Task[Result]:
    """Watch a task, and return it.

    Args:
        task: ends the process if it ends with an error.
        after_s: how long to wait after the error, so that code that awaits the task can give a better reason.
    """

    def look(ended: asyncio.Task[Any]) -> None:
        error = None if ended.cancelled() else ended.exception()
        if error is not None and after_s:
            ended.get_loop().call_later(after_s, _die, ended, error)
        elif error is not None:
            _die(ended, error)

    task.add_done_callback(look)
    return task


def _die(task: asyncio.Task[Any], error: BaseException) -> None:
    die(code_of(error, ExitCode.TASK_FAILED), f"the task {task.get_name()} has ended", error=error)
