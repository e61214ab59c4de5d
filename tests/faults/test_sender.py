"""What the harness takes for the inputs is what the log holds."""

from tests.faults.sender import Handed
from tests.records import Record
from tests.simulation.sent import Message


def message(value: bytes | None, key: bytes | None = b"k") -> Message:
    return Message("order.completed", key, value, 0, (), ("O",))


def in_log(*messages: Message) -> list[Record]:
    return [
        Record(each.topic, each.partition, offset, each.key, each.value, {})
        for offset, each in enumerate(messages)
    ]


def test_what_the_log_holds_more_often_than_it_was_handed_over_was_delivered_twice():
    first, repeated, poison = message(b"1"), message(b"2"), message(None, None)
    handed = Handed()
    for each in (first, repeated, repeated, poison):
        handed.note(each)
    assert handed.delivered_twice(in_log(first, repeated, repeated, poison)) == []
    log = in_log(first, first, repeated, repeated, repeated, repeated, poison)
    assert handed.delivered_twice(log) == [first, repeated, repeated]


def test_what_nobody_handed_over_is_not_the_harnesses_concern():
    assert Handed().delivered_twice(in_log(message(b"1"))) == []
