"""Record batches of other producers are read within bounds. A record is read once, whole or with a mark."""

import hashlib
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

from tests.native.libraries import library, using
from worker.engine import record_batches
from worker.engine.patches.builders import AnyName, BatchBuilder
from worker.engine.patches.fetches import PARTITION_BYTES_AT_ONCE, Budget, CorruptBatch, PartitionRecords
from worker.engine.record_batches import Batches
from worker.engine.unit import InputRecord

TP = TopicPartition("orders", 3)
KIB, MIB = 1 << 10, 1 << 20
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
NOT_UTF8 = b"\xff\xfe\x80".decode(errors="surrogateescape")

Given = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
SMALL: list[Given] = [(b"k%d" % n, b"v" * 200, []) for n in range(3_000)]


@pytest.fixture(params=[True, False], ids=["C", "Python"], autouse=True)
def codecs(request: pytest.FixtureRequest) -> Iterator[None]:
    with using(library() if request.param else None):
        yield


def batch(records: list[Given], codec: int = 0) -> bytes:
    odd = any(not name.isprintable() for _, _, headers in records for name, _ in headers)
    kind: Any = _DefaultRecordBatchBuilderPy if odd else DefaultRecordBatchBuilder
    builder = kind(2, codec, False, -1, -1, -1, 1 << 30)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(
            offset,
            1_700_000_000_000 + offset,
            key,
            value,
            [(AnyName(n), v) if odd else (n, v) for n, v in headers],
        )
    return bytes(builder.build())


def read(raw: bytes, first: int = 0) -> list[InputRecord]:
    records = PartitionRecords(TP, Batches(raw), [], first, None, None, True, 1)
    found: list[InputRecord] = []
    ended = False
    while not ended:
        budget = Budget()
        some, ended = records.take(None, budget)
        assert budget.left >= Budget().left - 3 * PARTITION_BYTES_AT_ONCE, "more than may be held at once"
        found += some
        if records.long is not None:
            records.long.exception()
    return found


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize(
    "records",
    [
        [*SMALL, (b"k", b"x" * MIB, [("h", None), ("h", b"")]), *SMALL],
        [(None, None, []), (b"", b"", [("", None)] * 32_768)],
        [(b"k" * (64 * KIB), b"v", []), (None, b"v", [("n" * KIB, b"v" * 63 * KIB)])],
        [(b"k", b"v", [(NOT_UTF8, None), (NOT_UTF8, b"1"), ("a", b"2")]), *SMALL],
    ],
    ids=["a MiB", "empty", "64 KiB around", "odd names"],
)
def test_what_is_within_the_limits_comes_as_it_was_sent(codec: int, records: list[Given]):
    found = read(batch(records, codec))
    assert [(each.key, each.value, list(each.headers)) for each in found] == records
    assert [each.offset for each in found] == list(range(len(records)))
    assert not any(each.large for each in found)


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize(
    "large",
    [
        (b"k", b"x" * (MIB + 1), []),
        (b"k", b"x" * (20 * MIB), []),
        (b"k" * (64 * KIB + 1), b"v", []),
        (b"k" * (2 * MIB), b"v", []),
        (b"k", b"v", [("n" * (64 * KIB), b"")]),
        (b"k", b"v", [("n", b"v" * (3 * MIB))]),
        (b"k", b"v", [("", None)] * 400_000),
        (b"k" * (2 * MIB), b"x" * (2 * MIB), [("n", b"v" * (2 * MIB))]),
    ],
    ids=["value", "20 MiB", "key", "2 MiB key", "name", "header", "many headers", "all"],
)
def test_what_is_over_the_limits_is_marked_and_its_neighbours_come(codec: int, large: Given):
    found = read(batch([*SMALL[:3], large, *SMALL[:3]], codec))
    assert [each.offset for each in found] == list(range(7))
    assert [each.large is not None for each in found] == [False] * 3 + [True] + [False] * 3
    mark = found[3].large
    assert mark is not None
    assert (mark.reason, mark.digest) == ("TOO_LARGE", hashlib.sha256(large[1] or b"").hexdigest())
    assert len(found[3].value or b"") <= MIB
    assert len(found[3].key or b"") <= 128 * KIB


@pytest.mark.parametrize("codec", list(CODECS.values())[1:], ids=list(CODECS)[1:])
def test_of_a_batch_beyond_any_bound_one_record_stands_for_the_rest(
    codec: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(record_batches, "UNPACKED_BYTES", 8 * MIB)
    found = read(batch([*SMALL[:3], (b"k", bytes(9 * MIB), []), *SMALL[:3]], codec))
    assert [(each.offset, each.value is None) for each in found] == [
        (0, False),
        (1, False),
        (2, False),
        (6, True),
    ]
    assert found[-1].large is not None
    assert found[-1].large.reason == "TOO_LARGE"


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_no_malformed_batch_ends_or_holds_its_reader(codec: int):
    """Bytes are changed and the checksum with them, as by a producer that a careless broker believes."""
    randomly = random.Random(codec)
    given = batch([*SMALL[:20], (b"k", b"v", [("a", None)] * 3)], codec)
    unreadable = 0
    for _ in range(400):
        raw = bytearray(given)
        for _ in range(randomly.choice((1, 1, 2, 5))):
            raw[randomly.randrange(57, len(raw))] = randomly.choice(
                (0, 127, 128, 255, randomly.randrange(256))
            )
        struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
        found = read(bytes(raw))
        marks = [each.large for each in found if each.large is not None]
        assert all(mark.reason in {"UNDECODABLE", "TOO_LARGE"} for mark in marks)
        unreadable += bool(marks)
    assert unreadable > 10


def test_what_came_before_a_corrupt_batch_comes_and_then_the_error_says_where():
    broken = bytearray(batch(SMALL[:1]))
    broken[-1] ^= 1
    broken[0:8] = (3).to_bytes(8, "big")
    records = PartitionRecords(TP, Batches(batch(SMALL[:3]) + bytes(broken)), [], 0, None, None, True, 1)
    found, ended = records.take(None, Budget())
    assert ([each.offset for each in found], ended) == ([0, 1, 2], False)
    with pytest.raises(CorruptBatch, match="orders-3@3"):
        records.take(None, Budget())


def test_a_header_name_of_any_bytes_goes_out_as_it_came():
    headers = [("plain", b"1"), (NOT_UTF8, None), (NOT_UTF8, b"2")]
    builder = BatchBuilder(10_000, 0, is_transactional=0)
    assert builder.append(timestamp=1, key=b"k", value=b"v", headers=[]) is not None
    assert builder.append(timestamp=1, key=b"k", value=b"v", headers=headers) is None, "it begins a batch"
    builder = BatchBuilder(10_000, 0, is_transactional=0)
    assert builder.append(timestamp=1, key=b"k", value=b"v", headers=headers) is not None
    raw = bytes(builder._build())
    assert b"\xff\xfe\x80" in raw
    assert [list(each.headers) for each in read(raw)] == [headers]


def test_many_records_come_from_any_offset_on_whatever_one_of_them_has():
    records = [*SMALL[:2_500]]
    records[1_700] = b"k", b"v", [("traceparent", b"t")]
    raw = batch(records)
    for first in (0, 1, 999, 1_000, 1_001, 1_700, 1_701, 2_499, 2_500):
        found = read(raw, first)
        assert [each.offset for each in found] == list(range(first, 2_500))
        assert [(each.key, each.value, list(each.headers)) for each in found] == records[first:]


def test_how_many_are_taken_at_once_changes_nothing():
    raw = batch(SMALL) + batch([])
    records = PartitionRecords(TP, Batches(raw), [], 5, None, None, True, 1)
    found: list[InputRecord] = []
    ended = False
    for most in (1, 2, 994, 1, 1_000, 3_000):
        some, ended = records.take(most, Budget())
        assert len(some) <= most
        found += some
        assert records.next_fetch_offset == found[-1].offset + 1 or ended
    assert ended
    assert found == read(raw, 5)
    assert [
        next(records, None) for records in [PartitionRecords(TP, Batches(raw), [], 5, None, None, True, 1)]
    ] == found[:1]
