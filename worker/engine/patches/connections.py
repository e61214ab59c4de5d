# mypy: disable-error-code="misc,no-any-return"
# aiokafka has no type information.
"""Connections to brokers that do not answer: attempts back off, and none holds up the others.

- aiokafka connects again for every request. For a dead broker that is hundreds of times a second.
- It asks for new leaders only when an attempt fails. So the pauses between attempts would also delay that, by seconds.
  Here whoever asks for a broker during its pause makes the client ask the others for metadata.
- A frozen broker accepts a connection and never answers on it. aiokafka then connects to no other broker, because one
  lock guards all connections.
- When a request to a frozen broker times out, aiokafka closes that connection only. It then asks for metadata on another
  connection to the same broker, and waits as long again. Here all connections to that broker are closed.
- A broker that answers other requests keeps its connections. For example, a leader whose follower is dead acknowledges
  no produce request until the follower leaves the in-sync replicas.
"""

import asyncio
import math
import time
from collections import defaultdict
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple

import aiokafka.consumer.consumer
import aiokafka.producer.producer
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.errors import RequestTimedOutError

_LIVES_S = 3.0  # how long a broker counts as alive after an answer; heartbeats are more frequent
_LONGEST_PAUSE_S = 2.0
_ASK_EVERY_S = 0.5


class _Away(NamedTuple):
    """A broker that could not be reached.

    Attributes:
        until: when to try again, in monotonic seconds.
        pause_s: the pause that ends then.
    """

    until: float
    pause_s: float


class PatientClient(AIOKafkaClient):
    """Tries each broker again after a pause that doubles.

    All clients of a process share the times at which brokers answered last.
    """

    connects_within_s = 3.0
    """Time for one attempt to connect, as an attribute, because aiokafka makes the client."""

    first_pause_s = 0.05
    """The pause after the first attempt that failed. It is an attribute for the same reason."""

    _answered_at: ClassVar[dict[Any, float]] = {}  # by node, monotonic seconds

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._away: dict[Any, _Away] = {}  # by node; bounded, because a cluster has few
        self._asked_at = -math.inf  # monotonic seconds
        self._connecting: defaultdict[Any, asyncio.Lock] = defaultdict(asyncio.Lock)

    @property
    def _get_conn_lock(self) -> nullcontext[None]:
        """No lock, in place of aiokafka's one lock for all brokers."""
        return nullcontext()

    async def _get_conn(
        self, node_id: Any, *, group: int = ConnectionGroup.DEFAULT, no_hint: bool = False
    ) -> Any:
        """An open connection, as aiokafka's; None if there is none. Makes no attempt during the broker's pause."""
        there = self._conns.get((node_id, group))
        if there is not None and there.connected():
            return there
        async with self._connecting[node_id, group]:
            return await self._connect(node_id, group, no_hint)

    async def send(self, node_id: Any, request: Any, *, group: int = ConnectionGroup.DEFAULT) -> Any:
        """Send a request as aiokafka does.

        If it times out, and the broker answered no other request lately, close all connections to the broker.

        Raises:
            RequestTimedOutError: the request timed out.
        """
        try:
            answer = await super().send(node_id, request, group=group)
            self._answered_at[node_id] = time.monotonic()
            return answer
        except (
            RequestTimedOutError,
            KeyError,
        ) as error:  # KeyError: aiokafka closes a connection that is gone already
            if time.monotonic() - self._answered_at.get(node_id, -math.inf) > _LIVES_S:
                self._give_up(node_id)
            raise RequestTimedOutError from error

    def _give_up(self, node_id: Any) -> None:
        for (node, _), connection in tuple(self._conns.items()):
            if node == node_id:
                connection.close(reason=CloseReason.CONNECTION_TIMEOUT)
        self._away[node_id] = _Away(time.monotonic() + _LONGEST_PAUSE_S, _LONGEST_PAUSE_S)

    def _ask_for_leaders(self) -> None:
        now = time.monotonic()
        if now - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = now
            self.force_metadata_update()

    async def _connect(self, node_id: Any, group: int, no_hint: bool) -> Any:
        away = self._away.get(node_id)
        if away is not None and time.monotonic() < away.until:
            self._ask_for_leaders()
            return None
        connection = None
        try:
            async with asyncio.timeout(self.connects_within_s):
                connection = await super()._get_conn(node_id, group=group, no_hint=no_hint)
        except TimeoutError:
            self.force_metadata_update()
        if connection is None:
            pause_s = min(away.pause_s * 2, _LONGEST_PAUSE_S) if away else self.first_pause_s
            self._away[node_id] = _Away(time.monotonic() + pause_s, pause_s)
        else:
            self._away.pop(node_id, None)
        return connection


def install() -> None:
    """Make all consumers and producers that this process creates from now on use this client."""
    aiokafka.consumer.consumer.AIOKafkaClient = PatientClient
    aiokafka.producer.producer.AIOKafkaClient = PatientClient
