"""The index of the latest letters, without Kafka."""

import time

import pytest

from worker.app.letters.index import Index, entry_of
from worker.letter_box import MOST_LETTERS, LetterEntry, LetterPage
from worker.operations.letters import DeadLetter, Headers


def letter(offset: int, *, key: bytes | None = b"c1", headers: Headers = ()) -> DeadLetter:
    return DeadLetter(0, offset, 1_000 + offset, key, b"{}", headers)


def said(
    reason: bytes = b"INVALID",
    topic: bytes = b"order.completed",
    *,
    partition: bytes = b"3",
    detail: bytes = b"d",
) -> Headers:
    return (
        ("dlq-reason", reason),
        ("dlq-detail", detail),
        ("dlq-topic", topic),
        ("dlq-partition", partition),
        ("dlq-offset", b"17"),
    )


def entries(*offsets: int) -> list[LetterEntry]:
    return [entry_of(letter(offset, headers=said())) for offset in offsets]


def offsets(page: LetterPage) -> list[int]:
    return [each.offset for each in page.entries]


def test_letters_come_from_both_ends_and_are_shown_the_latest_first():
    index = Index()
    index.add_older(entries(10, 11))
    index.add_newer(entries(12))
    index.add_older(entries(7, 9))
    assert offsets(index.page(200)) == [12, 11, 10, 9, 7]


def test_a_full_index_keeps_the_latest_and_holds_not_all_any_more():
    index = Index(most=3)
    index.add_older(entries(1, 2, 3, 4))
    assert offsets(index.page(200)) == [4, 3, 2]
    index.complete = True
    index.add_newer(entries(5))
    assert (offsets(index.page(200)), index.complete) == ([5, 4, 3], False)


def test_pages_follow_each_other_up_to_the_last_one():
    index = Index()
    index.add_older(entries(*range(7)))
    seen, before = [], None
    for more in (True, True, False):
        page = index.page(3, before)
        seen += offsets(page)
        before = page.next
        assert (before is not None) is more
    assert seen == [6, 5, 4, 3, 2, 1, 0]


def test_letters_are_found_and_counted_by_reason_topic_and_customer():
    index = Index()
    index.add_newer(
        [
            entry_of(letter(0, key=b"ann", headers=said(b"INVALID"))),
            entry_of(letter(1, key=b"ben", headers=said(b"INVALID", b"customer.commands"))),
            entry_of(letter(2, key=b"ann", headers=said(b"FAILED"))),
        ]
    )

    assert offsets(index.page(9, reason="INVALID")) == [1, 0]
    assert offsets(index.page(9, topic="customer.commands")) == [1]
    assert offsets(index.page(9, customer_id="ann")) == [2, 0]
    assert offsets(index.page(9, customer_id="ann", reason="FAILED")) == [2]
    state = index.page(1, reason="FAILED").index
    assert list(state.by_reason.items()) == [("INVALID", 2), ("FAILED", 1)]
    assert state.by_topic == {"order.completed": 2, "customer.commands": 1}
    assert (state.letters, state.since) == (3, 1_000)


def test_whether_a_letter_went_back_is_unknown_until_all_marks_are_read():
    index = Index()
    index.add_newer(entries(5, 6))
    index.mark([("0/5", 1_005), ("0/6", 999)])  # the second is of a letter in a former topic
    assert [each.replayed for each in index.page(9).entries] == [None, True]
    index.marks_known = True
    assert [each.replayed for each in index.page(9).entries] == [False, True]
    index.mark_offset(6)
    assert [each.replayed for each in index.page(9).entries] == [True, True]


def test_marks_are_bounded_and_those_of_letters_in_the_index_are_kept():
    index = Index(floor=10, most_marks=3)
    index.add_newer(entries(20, 21))
    index.mark(
        [("0/9", 1_009), ("elsewhere", 1), ("0/x", 1), *((f"0/{n}", 1_000 + n) for n in range(12, 21))]
    )
    assert len(index._gone) == 9
    index.reading, index.marks_known = False, True
    index.mark([("0/21", 1_021)])
    assert index._gone == {("0/20", 1_020), ("0/21", 1_021)}
    assert index.is_gone(12, 1_012) is None  # forgotten


def test_a_page_of_a_full_index_holds_the_event_loop_for_less_than_50_ms():
    index = Index()
    index.add_older(entries(*range(MOST_LETTERS)))
    began = time.thread_time()
    page = index.page(200, customer_id="nobody")
    assert time.thread_time() - began < 0.05
    assert (page.entries, page.index.letters) == ((), MOST_LETTERS)


@pytest.mark.parametrize(
    ("key", "customer_id"),
    [(b"c1", "c1"), (None, None), (b"", None), (b"\xff", None), (b"a\n", None), (b"x" * 101, None)],
)
def test_a_key_is_a_customer_where_it_is_a_valid_id(key: bytes | None, customer_id: str | None):
    assert entry_of(letter(0, key=key)).customer_id == customer_id


def test_what_a_producer_wrote_into_the_headers_is_bounded():
    entry = entry_of(
        letter(0, headers=said(b"r" * 9_999, b"t" * 9_999, partition=b"9" * 99, detail=b"d" * 9_999))
    )
    assert (len(entry.reason), len(entry.topic), len(entry.detail)) == (249, 249, 200)
    assert (entry.partition, entry.source_offset) == (None, 17)
    assert entry_of(letter(0)).reason == ""
