"""Our records and batches hold what aiokafka's own records would, whatever is in a fetch and however it is read."""

from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from tests.native.libraries import library, using
from worker.engine.patches.fetches import FetchResult, PartitionRecords, whole_batches
from worker.engine.record_batches import Batches
from worker.engine.unit import InputRecord

TP = TopicPartition("orders", 3)
THEIRS, THEIR_RESULT = PartitionRecords.__mro__[1], FetchResult.__mro__[1]
FIELDS = tuple(name for name in InputRecord.__struct_fields__ if name != "large")


@pytest.fixture(params=[True, False], ids=["C", "Python"], autouse=True)
def codecs(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(library() if request.param else None):
        yield


def batch(base: int, producer_id: int, *values: bytes | None) -> bytes:
    """A transactional record batch; its records are a millisecond and an offset apart."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=1,
        producer_id=producer_id,
        producer_epoch=0,
        base_sequence=0,
        batch_size=10_000,
    )
    for number, value in enumerate(values):
        headers: list[tuple[str, bytes]] = [("trace", b"t"), ("trace", b"u")][:number]
        builder.append(number, 1_700_000_000_000 + number, b"k%d" % number, value, headers)
    raw = builder.build()
    raw[0:8] = base.to_bytes(8, "big")  # what the broker does; the checksum does not cover it
    return bytes(raw)


FETCH = batch(10, 7, b"one", None, b"three") + batch(20, 8, b"aborted") + batch(30, 7, b"", b"five")


def unpacked(kind: Any, at_once: int | None, start: int = 10, what: Any = None) -> list[Any]:
    """All that a consumer at that offset gets of FETCH, read so many at a time. what: its value_deserializer."""
    theirs = kind is THEIRS
    unpack, result_of = (MemoryRecords, THEIR_RESULT) if theirs else (Batches, FetchResult)
    records = kind(TP, unpack(FETCH), [(8, 20)], start, None, what, True, 1)
    state = Mock(paused=False, position=start)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    result = result_of(
        TP, assignment=Mock(active=True, state_value=lambda _: state), partition_records=records, backoff=0
    )
    found: list[Any] = []
    while result.has_more():
        found += result.getall(max_records=at_once)
    assert state.position == 32
    return found


def rows(records: Iterable[Any]) -> list[tuple[Any, ...]]:
    return [tuple(getattr(record, name) for name in FIELDS) for record in records]


@pytest.mark.parametrize("at_once", [None, 1, 2, 3])
def test_a_fetch_is_unpacked_as_by_aiokafka(at_once: int | None):
    found = rows(unpacked(PartitionRecords, at_once))
    assert found == rows(unpacked(THEIRS, at_once))
    assert [(row[FIELDS.index("offset")], row[FIELDS.index("value")]) for row in found] == [
        (10, b"one"),
        (11, None),
        (12, b"three"),
        (30, b""),
        (31, b"five"),
    ]


@pytest.mark.parametrize("at_once", [None, 1])
def test_whole_batches_hold_the_same_records(at_once: int | None):
    batches = unpacked(PartitionRecords, at_once, what=whole_batches)
    found = [
        (batch.next_offset, *((each.offset, each.key, each.value) for each in batch)) for batch in batches
    ]
    assert found == [
        (13, (10, b"k0", b"one"), (11, b"k1", None), (12, b"k2", b"three")),
        (32, (30, b"k0", b""), (31, b"k1", b"five")),
    ]


def test_a_batch_comes_whole_to_whoever_begins_in_it():
    batches = unpacked(PartitionRecords, None, start=12, what=whole_batches)
    assert [[each.offset for each in batch] for batch in batches] == [[10, 11, 12], [30, 31]]


def test_a_batch_before_the_start_does_not_come():
    batches = unpacked(PartitionRecords, None, start=13, what=whole_batches)
    assert [[each.offset for each in batch] for batch in batches] == [[30, 31]]
