"""Our records are what aiokafka's own would be, whatever is in a fetch and however it is read."""

from typing import Any
from unittest.mock import Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from worker.engine.hooks import PartitionRecords
from worker.engine.unit import Record

TP = TopicPartition("orders", 3)
THEIRS = PartitionRecords.__mro__[1]
FIELDS = Record.__struct_fields__


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


def unpacked(kind: Any, at_once: int | None) -> list[tuple[Any, ...]]:
    """All fields of all records that a consumer gets of FETCH, read so many at a time."""
    records = kind(TP, MemoryRecords(FETCH), [(8, 20)], 10, None, None, True, 1)
    state = Mock(paused=False, position=10)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    result = FetchResult(
        TP, assignment=Mock(active=True, state_value=lambda _: state), partition_records=records, backoff=0
    )
    found = []
    while result.has_more():
        found += [
            tuple(getattr(record, name) for name in FIELDS) for record in result.getall(max_records=at_once)
        ]
    assert state.position == 32
    return found


@pytest.mark.parametrize("at_once", [None, 1, 2, 3])
def test_a_fetch_is_unpacked_as_by_aiokafka(at_once: int | None):
    found = unpacked(PartitionRecords, at_once)
    assert found == unpacked(THEIRS, at_once)
    assert [(row[FIELDS.index("offset")], row[FIELDS.index("value")]) for row in found] == [
        (10, b"one"),
        (11, None),
        (12, b"three"),
        (30, b""),
        (31, b"five"),
    ]
