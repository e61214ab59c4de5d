# mypy: disable-error-code="no-any-return"
# aiokafka has few types.
"""Fetch sessions (KIP-227), which aiokafka lacks: a consumer and a broker remember the last fetch.

Without a session, each fetch and each answer names every partition. In a session, a fetch names only what changed
since the last one. The answer names only partitions with something new.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

_FIRST_VERSION = 7  # the first version of Fetch that has sessions
_LAST_EPOCH = 2**31 - 1

Partition = tuple[str, int]


class FetchSession:
    """The session with one broker. After any error, the next fetch names every partition, in a new session.

    Args:
        last_epoch: after it the epochs go on at 1.
    """

    def __init__(self, last_epoch: int = _LAST_EPOCH) -> None:
        self._last_epoch = last_epoch
        self._id = 0
        self._epoch = 0  # of the next fetch; 0 begins a session, and ends the one with this id
        self._remembered: dict[Partition, Any] = {}  # the partitions that the broker remembers
        self._asked: dict[Partition, Any] = {}  # the set of partitions that the last fetch asked for

    def narrow(self, request: Any) -> Any:
        """Remove from a fetch what the broker remembers. Changes and returns the request.

        Args:
            request: a Fetch request, built for its version.
        """
        if request.API_VERSION < _FIRST_VERSION:
            return request
        self._asked = {
            (topic, partition[0]): partition
            for topic, partitions in request.topics
            for partition in partitions
        }
        request.session_id, request.session_epoch = self._id, self._epoch
        if self._epoch:
            new = {tp: asked for tp, asked in self._asked.items() if self._remembered.get(tp) != asked}
            gone = {tp: tp[1] for tp in self._remembered if tp not in self._asked}
            request.topics, request.forgotten_topics_data = _by_topic(new), _by_topic(gone)
        return request

    def answered(self, response: Any | None) -> None:
        """Note the answer to the last fetch.

        Args:
            response: None if the broker may not have received the fetch.
        """
        if response is not None and response.API_VERSION < _FIRST_VERSION:
            return
        if response is None or response.error_code or not response.session_id:
            self._epoch = 0
        else:
            self._id = response.session_id
            self._epoch = self._epoch + 1 if self._epoch < self._last_epoch else 1
            self._remembered = self._asked


class SessionClient:
    """An aiokafka client whose fetches have a session with each broker. A broker gets one fetch at a time.

    Args:
        client: sends the requests.
        look: is called with each answer to a fetch.
    """

    def __init__(self, client: Any, look: Callable[[Any], None] = lambda _: None) -> None:
        self._look = look
        self.cluster = client.cluster  # an attribute of its own, because it is read for every partition
        self._client = client
        self._sessions: dict[int, FetchSession] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **how: Any) -> Any:
        """Send a request as the client does, and raise what it raises. A fetch goes through its session."""
        if not isinstance(request, FetchRequest):
            return await self._client.send(node_id, request, **how)
        session = self._sessions.setdefault(node_id, FetchSession())
        response = None
        try:
            response = await self._client.send(node_id, _Narrowed(request, session), **how)
        finally:
            session.answered(response)
        self._look(response)
        return response


class _Narrowed:
    """A fetch request that its session narrows. Has the methods that a connection calls."""

    def __init__(self, request: FetchRequest, session: FetchSession) -> None:
        self._request = request
        self._session = session

    def prepare(self, versions: Any) -> Any:
        """The request in the broker's version, narrowed."""
        return self._session.narrow(self._request.prepare(versions))


def _by_topic(partitions: Mapping[Partition, Any]) -> list[tuple[str, list[Any]]]:
    topics: dict[str, list[Any]] = {}
    for (topic, _), what in partitions.items():
        topics.setdefault(topic, []).append(what)
    return list(topics.items())
