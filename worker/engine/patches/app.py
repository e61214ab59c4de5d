# mypy: disable-error-code="attr-defined,misc,no-any-return"
# Private parts have no types.
"""The Faust app, with the engine in it.

Faust keeps group membership, assignment, agents, topics, web server and console.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import faust
from aiohttp.web import SockSite
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP

from worker.engine.engine import Engine
from worker.engine.patches.consumer import FAUST_TALK, EngineConsumer
from worker.membership import Member

# Any object here keeps Faust from setting up aiohttp_cors, which would look at every response.
_NO_CORS = object()


class EngineTransport(driver.Transport):
    """Faust's transport, with the engine's consumer."""

    Consumer = EngineConsumer


class EngineApp(faust.App):
    """A Faust app whose offsets, state and output belong to the engine. Set `engine` before it starts.

    Attributes:
        engine: processes the records.
        me: what this worker tells the other members of its group.
        members: the members at the last assignment, this worker included.
    """

    logger = FAUST_TALK
    engine: Engine
    me: Member
    members: Sequence[Member] = ()

    def _new_transport(self) -> EngineTransport:
        return EngineTransport(self.conf.broker_consumer, self)

    def mount(self, parts: Any) -> None:
        """Add the HTTP API's routes to Faust's web server.

        Args:
            parts: has a method mount, which takes the aiohttp application.
        """
        self.web._cors = _NO_CORS
        parts.mount(self.web.web_app)

    @property
    def serves(self) -> bool:
        """Whether the web server runs."""
        return self.web._runner.server is not None

    async def serve_at(self, listener: socket.socket) -> None:
        """Let the web server, which runs, accept from this socket, too. listener: bound, maybe by another process."""
        await SockSite(self.web._runner, listener, ssl_context=self.conf.web_ssl_context).start()

    def owner_url(self, changelog: str, partition: int) -> str | None:
        """The canonical URL of the worker that holds this partition since the last assignment; None if unknown."""
        url = self.assignor._tps_url.get(TP(changelog, partition))
        return str(url) if url else None

    async def commit_group_offsets(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit group offsets, for lag tools only. The engine never reads them.

        Args:
            positions: the next offset of each (topic, partition).
        """
        await self.consumer.commit_group_offsets(positions)

    def read_up_to(self, topic: str, partition: int) -> int:
        """The offset at which the next fetch of a partition begins, past transaction markers; 0 while that is unknown."""
        subscription = self.consumer._thread._ensure_consumer()._subscription.subscription
        assignment, tp = subscription.assignment, driver.ensure_aiokafka_TP(TP(topic, partition))
        if assignment is None or tp not in assignment.tps:
            return 0
        state = assignment.state_value(tp)
        return state.position if state.has_valid_position else 0
