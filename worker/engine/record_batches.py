# mypy: disable-error-code="misc,no-any-return"
# aiokafka has few types.
"""Record batches of Kafka's format v2 from other producers, read within bounds, because they may hold anything.

Rules:
- A batch is read in pieces of whole records. A piece has at most PIECE_BYTES, however much the batch unpacks to.
- The codec in C reads a piece (worker.native); without it, and where a record has headers, aiokafka's parser does. The
  parser here reads what aiokafka's cannot, such as a header name that is not UTF-8.
- A record over the contract's limits is marked (Large). A value over its limit is not held; its SHA-256 is.
- A key and headers are held up to twice their limit, because our own topics' envelopes add to them.
- If a part cannot be read, or lies past the first UNPACKED_BYTES, one record replaces the rest of the batch. It has the
  batch's last offset, so that a reader goes on after the batch and meets the record once.
- A header name is decoded as UTF-8 with surrogate escapes, so that any bytes survive unchanged.
"""

import hashlib
import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

from worker import native
from worker.engine.unit import Headers, InputRecord, Large, other_bytes
from worker.engine.unpacking import NONE, Unpacked, Unreadable
from worker.wire.limits import MAX_OTHER_BYTES, MAX_VALUE_BYTES

PIECE_BYTES = 5 << 18
"""More than the largest record within the limits."""

UNPACKED_BYTES = 1 << 30
LONG_BYTES = 16 << 20
"""A longer record takes so long to skip that a thread must do it, and not the event loop."""

_HELD_OTHER_BYTES = 2 * MAX_OTHER_BYTES
_READ_BYTES = 1 << 18
_FORMAT = struct.Struct(">qiibIhiqqqhii")
_RECORDS_AT = _FORMAT.size
_LENGTH_AT, _OVERHEAD, _MAGIC_AT = 8, 12, 16
_CHECKSUM_AT, _ATTRIBUTES_AT, _COUNT_AT = 17, 21, 57
_CODEC_BITS, _APPEND_TIME_BIT = 0x07, 0x08
_LEAST_BYTES = 26  # size of the smallest batch, in the oldest format
_RECORDS_AT_ONCE = 1_000  # that the codec in C reads, so that other threads wait less than a millisecond
_PARSER_ERRORS = (CorruptRecordException, ValueError, MemoryError, OverflowError)


class Batches:
    """The record batches of a fetch. Replaces aiokafka's MemoryRecords, which hides their bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def size_in_bytes(self) -> int:
        """Size of the fetch, a batch cut short at its end included."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether a whole batch is left. Kafka may cut the last one short; it is fetched again."""
        return self._end() is not None

    def next_batch(self) -> "Batch | LegacyRecordBatch":
        """The next batch. Batches of the formats before v2 are aiokafka's own.

        Raises:
            CorruptRecordException: the batch is too short.
        """
        end = self._end()
        if end is None or end - self._at < _LEAST_BYTES:
            raise CorruptRecordException("a record batch is too short to be one")
        raw = memoryview(self._data)[self._at : end]
        self._at = end
        return LegacyRecordBatch(raw, raw[_MAGIC_AT]) if raw[_MAGIC_AT] < 2 else Batch(raw)

    def _end(self) -> int | None:
        if len(self._data) - self._at < _OVERHEAD:
            return None
        (length,) = struct.unpack_from(">i", self._data, self._at + _LENGTH_AT)
        end: int = self._at + _OVERHEAD + max(length, 0)
        return end if end <= len(self._data) else None


class Batch:
    """One record batch. To iterate over it unpacks all of it at once, which suits our own topics."""

    def __init__(self, raw: memoryview) -> None:
        if len(raw) < _RECORDS_AT:
            raise CorruptRecordException("a record batch is too short to be one")
        self._raw = raw
        self._parsed = DefaultRecordBatch(raw)
        header = _FORMAT.unpack_from(raw)
        self.base_offset: int = header[0]
        self.attributes: int = header[5]
        self.next_offset: int = self.base_offset + header[6] + 1
        self.first_timestamp: int = header[7]
        self.max_timestamp: int = header[8]
        self.producer_id: int = header[9]
        self.count: int = header[12]
        self.is_transactional: bool = self._parsed.is_transactional
        self.is_control_batch: bool = self._parsed.is_control_batch

    def validate_crc(self) -> bool:
        """Whether the batch has the checksum that its header names."""
        if native.chosen is None:
            return self._parsed.validate_crc()
        (checksum,) = struct.unpack_from(">I", self._raw, _CHECKSUM_AT)
        return native.chosen.crc32c(self._raw, _ATTRIBUTES_AT) == checksum

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parsed)

    def __next__(self) -> Any:
        return next(self._parsed)  # aiokafka reads control batches this way

    @property
    def codec(self) -> int:
        """The compression: NONE, or a codec of worker.engine.unpacking."""
        return self.attributes & _CODEC_BITS

    def pieces(self, topic: str, partition: int) -> "Iterator[Piece | InputRecord | None]":
        """The records, in pieces or one alone. Yields None before a record that takes long to read.

        Raises:
            Unreadable: the rest of the batch cannot be read.
            TooMuch: the batch unpacks to more than UNPACKED_BYTES.
        """
        records = self._raw[_RECORDS_AT:]
        if self.codec == NONE and len(self._raw) <= PIECE_BYTES:
            yield Piece(self, self._parsed, records, self.count)
            return
        stream = Stream(Unpacked(self.codec, records))
        if not stream.has(PIECE_BYTES + 1):  # the usual batch: all of it, and as it is
            yield self.piece(stream.take(stream.left), self.count)
        else:
            yield from _pieces(self, stream, topic, partition)

    def rest(self, topic: str, partition: int, first: int, error: "Unreadable | TooMuch") -> InputRecord:
        """The record that replaces all records from the offset `first` on.

        Args:
            topic: of the batch.
            partition: of the batch.
            first: offset of the first record that was not read.
            error: why it was not read.
        """
        too_much = isinstance(error, TooMuch)
        problem = f"more than {UNPACKED_BYTES} bytes" if too_much else str(error)
        large = Large(
            "TOO_LARGE" if too_much else "UNDECODABLE",
            f"the rest of a record batch, from offset {first} on: {problem}",
            hashlib.sha256(self._raw[_RECORDS_AT:]).hexdigest(),
            readable=False,
        )
        return InputRecord(topic, partition, self.next_offset - 1, self.max_timestamp, None, None, (), large)

    def timestamp(self, delta: int) -> int:
        """A record's timestamp in ms since 1970 UTC, from its delta to the batch's first one."""
        return self.max_timestamp if self.attributes & _APPEND_TIME_BIT else self.first_timestamp + delta

    def piece(self, plain: bytes, count: int) -> "Piece":
        """A piece made of `count` of the batch's records, from their uncompressed bytes."""
        raw = bytearray(self._raw[:_RECORDS_AT])
        struct.pack_into(">h", raw, _ATTRIBUTES_AT, self.attributes & ~_CODEC_BITS)
        struct.pack_into(">i", raw, _COUNT_AT, count)
        raw += plain
        return Piece(self, DefaultRecordBatch(raw), memoryview(plain), count)


class Piece:
    """Whole records of a batch.

    Attributes:
        size: of all its records, in bytes.
    """

    def __init__(self, batch: Batch, parsed: Any, plain: memoryview, count: int) -> None:
        self.size = len(plain)
        self._batch, self._parsed, self._plain, self._count = batch, parsed, plain, count

    def records(self, topic: str, partition: int, first: int) -> Iterator[list[InputRecord]]:
        """The records from the offset `first` on, some at a time.

        Raises:
            Unreadable: a record cannot be read.
        """
        batch, read, end = self._batch, 0, 0
        stamped = bool(batch.attributes & _APPEND_TIME_BIT)
        while native.chosen is not None and read < self._count:
            count = min(self._count - read, _RECORDS_AT_ONCE)
            found = native.chosen.records(
                InputRecord,
                topic,
                partition,
                batch.base_offset,
                batch.timestamp(0),
                stamped,
                first,
                MAX_OTHER_BYTES,
                self._plain,
                end,
                count,
            )
            if found is None:
                break
            records, end = found
            read += count
            if records:
                first = records[-1].offset + 1
                yield records
        if read < self._count or end < self.size:
            for record in self._parsed_from(topic, partition, first):
                yield [record]

    def _parsed_from(self, topic: str, partition: int, first: int) -> Iterator[InputRecord]:
        some_may_be_large = self.size > MAX_OTHER_BYTES
        try:
            for each in self._parsed:
                offset = each.offset
                if offset < first:
                    continue
                first = offset + 1
                key, value, headers = each.key, each.value, each.headers
                if some_may_be_large and (headers or len(value or b"") + len(key or b"") > MAX_OTHER_BYTES):
                    yield _marked(topic, partition, offset, each.timestamp, key, value, tuple(headers))
                else:
                    yield InputRecord(topic, partition, offset, each.timestamp, key, value, tuple(headers))
        except _PARSER_ERRORS:
            yield from self._carefully(topic, partition, first)

    def _carefully(self, topic: str, partition: int, first: int) -> Iterator[InputRecord]:
        stream = Stream(Unpacked(NONE, self._plain))
        for _ in range(self._count):
            record = parsed_record(self._batch, stream, topic, partition)
            if record.offset >= first:
                yield record
        if not stream.at_end():
            raise Unreadable("bytes are left after its last record")


def _marked(
    topic: str, partition: int, offset: int, timestamp: int, key: Any, value: Any, headers: Any
) -> InputRecord:
    """A record whose excess over the limits is marked, and not held if it is far over them."""
    large = None
    others = other_bytes(key, headers)
    if value is not None and len(value) > MAX_VALUE_BYTES:
        large = Large.value(len(value), hashlib.sha256(value).hexdigest())
        value = None
    elif others > MAX_OTHER_BYTES:
        large = Large.others(value)
    if others > _HELD_OTHER_BYTES:
        key, headers = None, ()
    return InputRecord(topic, partition, offset, timestamp, key, value, headers, large)


class TooMuch(Exception):
    """The batch unpacks to more than UNPACKED_BYTES."""


class Stream:
    """The uncompressed bytes of a batch, read forward.

    Methods raise Unreadable where the bytes end too early, and TooMuch past UNPACKED_BYTES.
    """

    def __init__(self, source: Unpacked) -> None:
        self._source = source
        self._buffer = b""
        self._at = 0
        self._before = 0  # bytes before the buffer

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._before + self._at

    @property
    def left(self) -> int:
        """Bytes in the buffer."""
        return len(self._buffer) - self._at

    def has(self, size: int) -> bool:
        """Whether this many bytes are left. They are then in the buffer."""
        missing = size - self.left
        if missing > 0:
            more = self._source.read(max(missing, _READ_BYTES))
            self._before += self._at
            self._buffer = self._buffer[self._at :] + more
            self._at = 0
            if self._before + len(self._buffer) > UNPACKED_BYTES:
                raise TooMuch
        return self.left >= size

    def at_end(self) -> bool:
        """Whether no byte is left."""
        return not self.has(1)

    def peek(self, size: int) -> memoryview:
        """The next bytes, without moving on."""
        if not self.has(size):
            raise Unreadable("a record is cut short")
        return memoryview(self._buffer)[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """The next bytes, as a copy."""
        found = bytes(self.peek(size))
        self._at += size
        return found

    def skip(self, size: int) -> str:
        """Skip bytes without holding them. Returns their SHA-256 in hex."""
        digest = hashlib.sha256()
        while size > 0:
            piece = self.peek(min(size, _READ_BYTES))
            digest.update(piece)
            self._at += len(piece)
            size -= len(piece)
        return digest.hexdigest()

    def varint(self) -> int:
        """The next number, a zigzag varint."""
        value, size = self.peek_varint(0)
        self._at += size
        return value

    def peek_varint(self, ahead: int) -> tuple[int, int]:
        """The zigzag varint that starts `ahead` bytes from here, and its size in bytes."""
        result = shift = size = 0
        while shift < 70:
            if not self.has(ahead + size + 1):
                raise Unreadable("a record is cut short")
            byte = self._buffer[self._at + ahead + size]
            result |= (byte & 0x7F) << shift
            size, shift = size + 1, shift + 7
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1), size
        raise Unreadable("a number is too long")


def _pieces(batch: Batch, stream: Stream, topic: str, partition: int) -> Iterator[Piece | InputRecord | None]:
    left = batch.count
    while left > 0:
        count, size, next_bytes = _whole_records(stream, left)
        if count:
            yield batch.piece(stream.take(size), count)
        else:
            if next_bytes > LONG_BYTES:
                yield None
            count = 1
            yield parsed_record(batch, stream, topic, partition)
        left -= count
    if not stream.at_end():
        raise Unreadable("bytes are left after its last record")


def _whole_records(stream: Stream, most: int) -> tuple[int, int, int]:
    """How many of the next records fit in a piece, their bytes, and the length of the record after them."""
    count = size = length = 0
    while count < most:
        length, prefix = stream.peek_varint(size)
        if length < 0:
            raise Unreadable("a record has a negative length")
        if size + prefix + length > PIECE_BYTES:
            break
        count, size = count + 1, size + prefix + length
    return count, size, length


def parsed_record(batch: Batch, stream: Stream, topic: str, partition: int) -> InputRecord:
    """The next record of a stream, marked if it is over the limits.

    Raises:
        Unreadable: the bytes are not a record.
        TooMuch: the batch unpacks to more than UNPACKED_BYTES.
    """
    length = stream.varint()
    end = stream.position + length
    stream.take(1)  # attributes; format v2 defines none
    timestamp = batch.timestamp(stream.varint())
    offset = batch.base_offset + stream.varint()
    key_bytes = _size(stream, end)
    key = _held(stream, key_bytes, _HELD_OTHER_BYTES)
    value_bytes = _size(stream, end)
    value, large = None, None
    if value_bytes > MAX_VALUE_BYTES:
        large = Large.value(value_bytes, stream.skip(value_bytes))
    else:
        value = _held(stream, value_bytes, MAX_VALUE_BYTES)
    headers = None if key is None and key_bytes > 0 else _headers(stream, end)
    if headers is None or (others := other_bytes(key, headers)) > _HELD_OTHER_BYTES:
        large, key, headers = large or Large.others(value), None, []
        stream.skip(end - stream.position)
    elif others > MAX_OTHER_BYTES:
        large = large or Large.others(value)
    if stream.position != end:
        raise Unreadable("a record is longer than it says")
    return InputRecord(topic, partition, offset, timestamp, key, value, tuple(headers), large)


def _size(stream: Stream, end: int) -> int:
    """The size of a field, negative for null."""
    size = stream.varint()
    if size > end - stream.position:
        raise Unreadable("a record is longer than it says")
    return size


def _held(stream: Stream, size: int, most: int) -> bytes | None:
    """The field; None if it is null or longer than `most`. A field that is too long is skipped."""
    if size <= most:
        return stream.take(size) if size >= 0 else None
    stream.skip(size)
    return None


def _headers(stream: Stream, end: int) -> Headers | None:
    """The headers; None if they exceed what is held. The caller then skips the rest of them."""
    count = stream.varint()
    if count < 0 or 2 * count > end - stream.position:
        raise Unreadable("a record has fewer headers than it says")
    headers: Headers = []
    others = 2 * count
    while len(headers) < count and others <= 2 * _HELD_OTHER_BYTES:
        name_bytes = _size(stream, end)
        if name_bytes < 0:
            raise Unreadable("a header has no name")
        others += name_bytes
        if others > 2 * _HELD_OTHER_BYTES:
            return None
        name = stream.take(name_bytes).decode(errors="surrogateescape")
        value_bytes = _size(stream, end)
        others += max(value_bytes, 0)
        if others > 2 * _HELD_OTHER_BYTES:
            return None
        headers.append((name, stream.take(value_bytes) if value_bytes >= 0 else None))
    return headers if len(headers) == count else None
