"""A produce request that is written in pieces has the bytes of aiokafka's own encoding."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.api import Request
from aiokafka.protocol.produce import ProduceRequest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.patches.frames import LARGE_BYTES, PiecewiseConnection, frame
from worker.engine.patches.messages import Produce12

Connect = Callable[..., Awaitable[Any]]
VERSIONS = [*range(8), 12]
LARGE = bytearray(b"r" * LARGE_BYTES)
SMALL = b"r" * (LARGE_BYTES - 1)
TOPICS = {"events": [(0, LARGE), (7, SMALL), (3, b"")], "log-é": [(1, LARGE)], "empty": []}

_parts = st.lists(
    st.tuples(
        st.integers(0, 2**31 - 1), st.sampled_from([b"", b"some", bytearray(b"x" * 126), SMALL, LARGE, None])
    ),
    max_size=3,
)


def request_of(version: int, topics: Any) -> Request[Any]:
    if version == 12:
        return Produce12("app-é-0", 10_000, topics)
    return ProduceRequest("app-é-0" if version >= 3 else None, -1, 10_000, list(topics.items()))


def both(version: int, topics: Any) -> tuple[list[Any], bytes]:
    """The pieces, and aiokafka's own bytes."""
    made = request_of(version, topics).prepare({0: (version, version)})
    assert version == made.API_VERSION
    header = made.build_request_header(correlation_id=2**31 - 1, client_id="client")
    theirs: bytes = header.encode() + made.encode()
    return frame(header, made), struct.pack(">i", len(theirs)) + theirs


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("topics", [TOPICS, {}, {"events": [(0, None)]}], ids=["some", "none", "null"])
def test_each_version_has_the_bytes_of_aiokafka(version: int, topics: Any):
    pieces, theirs = both(version, topics)
    assert b"".join(pieces) == theirs


@given(
    st.sampled_from(VERSIONS),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=9), _parts, max_size=3),
)
def test_whatever_is_sent_has_the_bytes_of_aiokafka(version: int, topics: Any):
    pieces, theirs = both(version, topics)
    assert b"".join(pieces) == theirs


def test_only_a_large_record_batch_is_a_piece_of_its_own_and_it_is_no_copy():
    pieces, _ = both(12, TOPICS)
    assert [piece.obj is LARGE for piece in pieces if isinstance(piece, memoryview)] == [True, True]
    assert len(pieces) == 5  # what is before, between and after them, too


class Broker:
    """Takes requests, and answers each with an empty answer to Produce 12, if it answers."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.answers = True

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.answers and (size := await reader.read(4)):
            self.got.append(await reader.readexactly(int.from_bytes(size, "big")))
            answer = self.got[-1][4:8] + b"\0" + b"\1" + bytes(4) + b"\0"
            writer.write(len(answer).to_bytes(4, "big") + answer)
        writer.close()


@pytest.fixture
async def connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    async def no_lookup(connection: Any) -> None:
        connection._versions = {0: (3, 12)}

    monkeypatch.setattr(AIOKafkaConnection, "_do_version_lookup", no_lookup)
    servers = []

    async def connect(broker: Broker, kind: type[AIOKafkaConnection] = PiecewiseConnection) -> Any:
        servers.append(await asyncio.start_server(broker.take, "127.0.0.1", 0))
        connection = kind("127.0.0.1", servers[-1].sockets[0].getsockname()[1])
        await connection.connect()
        return connection

    yield connect
    for server in servers:
        server.close()


async def test_a_connection_writes_what_aiokafkas_does_and_gets_the_answer(connect: Connect):
    ours, theirs = Broker(), Broker()
    for broker, kind in ((ours, PiecewiseConnection), (theirs, AIOKafkaConnection)):
        connection = await connect(broker, kind)
        for topics in (TOPICS, {"events": [(0, bytes(5 << 20))]}):
            answer = await asyncio.wait_for(connection.send(request_of(12, topics)), 20)
            assert answer.topics == []
        connection.close()
    assert ours.got == theirs.got
    assert len(ours.got) == 2


async def test_a_connection_that_is_lost_fails_what_waits_and_what_comes_later(connect: Connect):
    broker = Broker()
    broker.answers = False
    connection = await connect(broker)
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(connection.send(request_of(12, TOPICS)), 20)
    with pytest.raises(KafkaConnectionError):
        connection.send(request_of(12, TOPICS))


async def test_an_error_of_the_socket_closes_the_connection(connect: Connect):
    connection = await connect(Broker())
    connection._writer = Mock(write=Mock(side_effect=OSError("no buffer space")))
    with pytest.raises(KafkaConnectionError, match="no buffer space"):
        connection.send(request_of(12, TOPICS))
    assert not connection.connected()
