"""Input records as the engine reads them."""

from collections.abc import Iterable

from tests.records import Record
from worker.engine.unit import InputRecord

Headers = tuple[tuple[str, bytes | None], ...]


def input_record(
    topic: str, offset: int, value: bytes = b"", key: bytes | None = None, headers: Headers = ()
) -> InputRecord:
    """A record of partition 0."""
    return InputRecord(topic, 0, offset, 0, key, value, headers)


def as_read(records: Iterable[Record]) -> list[InputRecord]:
    """What a second client has read, as the engine reads it."""
    return [
        InputRecord(
            each.topic, each.partition, each.offset, 0, each.key, each.value, tuple(each.headers.items())
        )
        for each in records
    ]
