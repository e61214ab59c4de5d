# mypy: disable-error-code="no-any-return"
# aiokafka has few types.
"""Fetch sessions (KIP-227), which aiokafka does not have: a consumer and a broker remember what was fetched last.

Without them each fetch names every partition, and each answer too. With one a fetch names only what is different from
the last one, and the answer only partitions with something new.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

_FIRST_VERSION = 7  # of the protocol's fetch, that has sessions
_LAST_EPOCH = 2**31 - 1

Place = tuple[str, int]


class FetchSession:
    """With one broker. Whatever goes wrong, the next fetch names everything, in a new session."""

    def __init__(self) -> None:
        self._id = 0
        self._epoch = 0  # of the next fetch; 0 begins a session, and ends the one that is named
        self._remembered: dict[Place, Any] = {}
        self._asked: dict[Place, Any] = {}

    def narrow(self, request: Any) -> Any:
        """Leave out of a fetch, in the form of its version, what the broker remembers. Returns it."""
        if request.API_VERSION < _FIRST_VERSION:
            return request
        self._asked = {
            (topic, partition[0]): partition
            for topic, partitions in request.topics
            for partition in partitions
        }
        request.session_id, request.session_epoch = self._id, self._epoch
        if self._epoch:
            new = {
                place: asked for place, asked in self._asked.items() if self._remembered.get(place) != asked
            }
            gone = {place: place[1] for place in self._remembered if place not in self._asked}
            request.topics, request.forgotten_topics_data = _by_topic(new), _by_topic(gone)
        return request

    def answered(self, response: Any | None) -> None:
        """To what was narrowed last. None: nobody knows whether the broker took it."""
        if response is not None and response.API_VERSION < _FIRST_VERSION:
            return
        if response is None or response.error_code or not response.session_id:
            self._epoch = 0
        else:
            self._id = response.session_id
            self._epoch = self._epoch + 1 if self._epoch < _LAST_EPOCH else 1
            self._remembered = self._asked


class SessionClient:
    """A client of aiokafka whose fetches have sessions, one with each broker; one fetch of a broker at a time."""

    def __init__(self, client: Any) -> None:
        self.cluster = client.cluster  # which is asked for every partition
        self._client = client
        self._sessions: dict[int, FetchSession] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **how: Any) -> Any:
        """As the client's own; raises what that raises."""
        if not isinstance(request, FetchRequest):
            return await self._client.send(node_id, request, **how)
        session = self._sessions.setdefault(node_id, FetchSession())
        response = None
        try:
            response = await self._client.send(node_id, _Narrowed(request, session), **how)
        finally:
            session.answered(response)
        return response


class _Narrowed:
    """What a connection asks of a request."""

    def __init__(self, request: FetchRequest, session: FetchSession) -> None:
        self._request = request
        self._session = session

    def prepare(self, versions: Any) -> Any:
        return self._session.narrow(self._request.prepare(versions))


def _by_topic(places: Mapping[Place, Any]) -> list[tuple[str, list[Any]]]:
    topics: dict[str, list[Any]] = {}
    for (topic, _), what in places.items():
        topics.setdefault(topic, []).append(what)
    return list(topics.items())
