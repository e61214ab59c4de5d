"""Retries at start: an operation that Kafka cannot do yet is repeated, and the log names the reason for waiting."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

from worker.kafka.admin import TopicsNotServed

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0

Result = TypeVar("Result")


def _log(error: Exception, left_s: float) -> None:
    log.warning("waiting for Kafka", reason=type(error).__name__, seconds_left=round(left_s))


async def until_done(
    do: Callable[[], Awaitable[Result]], within_s: float, tell: Callable[[Exception, float], None] = _log
) -> Result:
    """Repeat `do` until it succeeds, and return its result.

    Args:
        do: may be called again after an error of Kafka.
        within_s: seconds after which the error is raised. 0: at once.
        tell: is called before each further try, with the error and the seconds that are left.

    Raises:
        KafkaError, TopicsNotServed: the last one, when the time is over. Whatever else `do` raises, at once.
    """
    give_up_at = time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await do()
        except (KafkaError, TopicsNotServed) as error:
            left_s = give_up_at - time.monotonic()
            if left_s <= 0:
                raise
            tell(error, left_s)
        await asyncio.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
