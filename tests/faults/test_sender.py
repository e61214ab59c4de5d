"""The harness takes the records in the log as the inputs, not the messages handed to producers."""

from collections import Counter

from tests.faults.sender import Handed
from tests.records import Record
from tests.simulation.sent import Message, digest


def message(value: bytes | None, key: bytes | None = b"k") -> Message:
    about = ("O", "c", "o", "1", "USD", "e") if value else ("poison", "")
    return Message("order.completed", key, value, 0, (), about)


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
    assert handed.note_those_delivered_twice(in_log(first, repeated, repeated, poison)) == 0
    log = in_log(first, first, repeated, repeated, repeated, repeated, poison)
    assert handed.note_those_delivered_twice(log) == 3
    assert Counter(each.digest for each in handed.purchases["O", "c", "o"]) == {
        digest(b"1"): 2,
        digest(b"2"): 4,
    }
    assert handed.note_those_delivered_twice(log) == 0


def test_what_nobody_handed_over_is_not_the_harnesses_concern():
    handed = Handed()
    assert handed.note_those_delivered_twice(in_log(message(b"1"))) == 0
    assert handed.count == 0
