# mypy: disable-error-code="assignment,attr-defined,method-assign,misc,no-any-return"
# aiokafka has no type information, and a method of mode is replaced.
"""Background tasks of aiokafka and Faust: a long-lived one that ends with an error ends the process.

- aiokafka logs the error and goes on. Without its fetch task a consumer never returns a record again; this also stops
  restores and standby copies. Without its coordination task a worker stays in a group and processes nothing.
- mode stops all services, with exit code 1 and without the task's name. A stop that hangs would end as a stop too late.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import wraps
from typing import Any

import aiokafka.client
import aiokafka.consumer.fetcher
import aiokafka.consumer.group_coordinator
import aiokafka.producer.sender
from mode import Service

from worker.engine.exits import ExitCode, code_of, die
from worker.engine.lasting import is_replaceable, lasting

_SENDER = "Sender._sender_routine"
_LASTING = {
    "AIOKafkaClient._md_synchronizer",
    "Fetcher._fetch_requests_routine",
    "GroupCoordinator._coordination_routine",
    _SENDER,
}
_BATCH_FIRST_S = 1.0  # the batch whose records were not sent fails first, and its log names the input


def create_task(routine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Make a task as aiokafka does, and watch the long-lived ones of clients that cannot be replaced."""
    name = routine.__qualname__
    task = asyncio.get_running_loop().create_task(routine, name=name)
    if name in _LASTING and not is_replaceable():
        lasting(task, _BATCH_FIRST_S if name == _SENDER else 0.0)
    return task


_original = Service._execute_task


@wraps(_original)
async def _execute_task(service: Service, task: Awaitable[Any]) -> None:
    """Run a task of a service as mode does. An error ends the process, unless the service stops."""

    async def watched() -> None:
        try:
            await task
        except Exception as error:
            if service.should_stop:
                raise
            name = getattr(task, "__qualname__", type(task).__qualname__)
            die(code_of(error, ExitCode.TASK_FAILED), f"the task {name} has ended", error=error)

    await _original(service, watched())


def install() -> None:
    """Watch the tasks of all services, and of consumers and producers that this process creates from now on."""
    Service._execute_task = _execute_task
    aiokafka.client.create_task = create_task
    aiokafka.consumer.fetcher.create_task = create_task
    aiokafka.consumer.group_coordinator.create_task = create_task
    aiokafka.producer.sender.create_task = create_task
