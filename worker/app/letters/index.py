"""The latest dead letters in memory: what of them is kept, and pages of it.

It holds at most MOST_LETTERS letters. Of key and value it keeps the size, and a key that is a valid customerId.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from sys import intern

from msgspec.structs import replace

from worker.letter_box import DETAIL_CHARS, MOST_LETTERS, LetterEntry, LetterIndex, LetterPage
from worker.operations.letters import DeadLetter, coordinates_of
from worker.operations.replay import Gone
from worker.wire.ids import fault_of_id

_MOST_CHARS = 249  # the longest name of a topic
_MOST_MARKS = 100_000


class Index:
    """The latest letters, by offset.

    Args:
        floor: the lowest offset that a letter in it may have.
        most: the most letters.
        most_marks: how many marks of replays it holds before it forgets those of letters that are not in it.

    Attributes:
        complete: whether it holds all letters that the topic keeps.
        reading: whether older letters are still being read.
        marks_known: whether all marks of replays were read.
    """

    def __init__(self, floor: int = 0, most: int = MOST_LETTERS, most_marks: int = _MOST_MARKS) -> None:
        self.complete = False
        self.reading = True
        self.marks_known = False
        self._floor = floor
        self._most_marks = most_marks
        self._entries: deque[LetterEntry] = deque(maxlen=most)
        self._gone: set[Gone] = set()

    @property
    def room(self) -> int:
        """How many more letters fit without dropping the oldest."""
        return (self._entries.maxlen or 0) - len(self._entries)

    def add_newer(self, entries: Sequence[LetterEntry]) -> None:
        """Add letters with greater offsets than all others, in order. Drops the oldest if there is no room."""
        self.complete = self.complete and len(entries) <= self.room
        self._entries.extend(entries)

    def add_older(self, entries: Sequence[LetterEntry]) -> None:
        """Add letters with smaller offsets than all others, in order. Leaves out the oldest if there is no room."""
        self._entries.extendleft(islice(reversed(entries), self.room))

    def mark(self, gone: Iterable[Gone]) -> None:
        """Note letters that were sent back."""
        self._gone.update(each for each in gone if _offset(each) >= self._floor)
        if len(self._gone) > self._most_marks and not self.reading and self._entries:
            self._floor = self._entries[0].offset
            self._gone = {each for each in self._gone if _offset(each) >= self._floor}

    def mark_offset(self, offset: int) -> None:
        """Note that the letter at this offset was sent back. Its mark may be read later."""
        self.mark(
            (coordinates_of(0, offset), each.written_at) for each in self._entries if each.offset == offset
        )

    def is_gone(self, offset: int, written_at: int) -> bool | None:
        """Whether the letter was sent back; None while that is not known."""
        if (coordinates_of(0, offset), written_at) in self._gone:
            return True
        return False if self.marks_known and offset >= self._floor else None

    def page(
        self,
        limit: int,
        before: int | None = None,
        reason: str | None = None,
        topic: str | None = None,
        customer_id: str | None = None,
    ) -> LetterPage:
        """A page, as worker.letter_box.LetterBox.page describes it."""
        fit = self._fitting(before, reason, topic, customer_id)
        entries = tuple(
            replace(each, replayed=self.is_gone(each.offset, each.written_at)) for each in islice(fit, limit)
        )
        is_last = next(fit, None) is None
        return LetterPage(entries, None if is_last else entries[-1].offset, self._state())

    def _fitting(
        self, before: int | None, reason: str | None, topic: str | None, customer_id: str | None
    ) -> Iterator[LetterEntry]:
        return (
            each
            for each in reversed(self._entries)
            if (before is None or each.offset < before)
            and (reason is None or each.reason == reason)
            and (topic is None or each.topic == topic)
            and (customer_id is None or each.customer_id == customer_id)
        )

    def _state(self) -> LetterIndex:
        return LetterIndex(
            letters=len(self._entries),
            since=self._entries[0].written_at if self._entries else None,
            complete=self.complete,
            reading=self.reading,
            by_reason=dict(Counter(each.reason for each in self._entries).most_common()),
            by_topic=dict(Counter(each.topic for each in self._entries).most_common()),
        )


def entry_of(letter: DeadLetter, replayed: bool | None = None) -> LetterEntry:
    """The letter's entry. Its texts are bounded, because a producer may have written its headers."""
    return LetterEntry(
        offset=letter.offset,
        written_at=letter.timestamp,
        reason=intern(letter.reason[:_MOST_CHARS]),
        detail=letter.detail[:DETAIL_CHARS],
        topic=intern(letter.topic[:_MOST_CHARS]),
        partition=letter.source_partition,
        source_offset=letter.source_offset,
        customer_id=_id(letter.key),
        size=len(letter.value or b""),
        replayed=replayed,
    )


def _id(key: bytes | None) -> str | None:
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        return None
    return None if fault_of_id(text) else text


def _offset(gone: Gone) -> int:
    """The offset in the letter's coordinates; -1 if they are none of ours."""
    offset = gone[0].rpartition("/")[2]
    return int(offset) if offset.isascii() and offset.isdecimal() else -1
