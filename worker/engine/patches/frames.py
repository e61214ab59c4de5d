# mypy: disable-error-code="misc,no-any-return"
# aiokafka has no type information.
"""Connections that write a produce request in pieces, because its record batches are large.

aiokafka joins the fields of a request level by level, and so copies each record batch eight times.
Here a large record batch goes to the transport as it is. The bytes on the wire are the same.
"""

from collections.abc import Iterator
from typing import Any

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, CompactArray, CompactBytes, Int32, Schema, UnsignedVarInt32
from aiokafka.util import wait_for

from worker.engine.patches.messages import Produce12

LARGE_BYTES = 1 << 15
"""Size from which on a piece is not copied. Smaller ones are joined, because each write is a system call."""

Piece = bytes | bytearray | memoryview


class PiecewiseConnection(AIOKafkaConnection):
    """Writes produce requests in pieces."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send a request as aiokafka does, and raise what it raises."""
        if self._writer is None or not expect_response or not isinstance(request, ProduceRequest | Produce12):
            return super().send(request, expect_response)
        struct = request.prepare(self._versions)
        number = self._next_correlation_id()
        header = struct.build_request_header(correlation_id=number, client_id=self._client_id)
        try:
            for piece in frame(header, struct):
                self._writer.write(piece)
        except OSError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self._host}:{self._port} broken: {error}") from error
        answer = self._loop.create_future()
        self._requests.append((number, struct, answer))
        return wait_for(answer, self._request_timeout)


def frame(header: Any, struct: Any) -> list[Piece]:
    """The bytes of a request on the wire, its size first.

    Args:
        header: the request's header.
        struct: the request, built for its version.
    """
    values = [getattr(struct, name) for name in struct.SCHEMA.names]
    fields = [header.encode(), *_pieces(struct.SCHEMA, values)]
    together: list[Piece] = []
    small: list[Piece] = [Int32.encode(sum(map(len, fields)))]
    for piece in fields:
        if len(piece) < LARGE_BYTES:
            small.append(piece)
        else:
            together += b"".join(small), memoryview(piece)
            small = []
    return [*together, b"".join(small)]


def _pieces(field: Any, value: Any) -> Iterator[Piece]:
    """What `field.encode(value)` joins."""
    if isinstance(field, Schema):
        for each, part in zip(field.fields, value, strict=True):
            yield from _pieces(each, part)
    elif isinstance(field, Array) and value is not None:
        yield _length(value, compact=isinstance(field, CompactArray))
        for part in value:
            yield from _pieces(field.array_of, part)
    elif field in (Bytes, CompactBytes) and value is not None:
        yield _length(value, compact=field is CompactBytes)
        yield value
    else:
        yield field.encode(value)


def _length(value: Any, *, compact: bool) -> bytes:
    return UnsignedVarInt32.encode(len(value) + 1) if compact else Int32.encode(len(value))


def install() -> None:
    """Make all connections that this process opens from now on write this way."""
    aiokafka.conn.AIOKafkaConnection = PiecewiseConnection
