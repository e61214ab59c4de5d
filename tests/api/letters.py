"""Dead letters and boards for tests of the API: worker.letter_box.LetterBox over a list, and a board with figures."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from worker.board import Board, CustomerCounts, GroupMember, InputLag, PartitionPlace, Point, PublishedEvent
from worker.domain.rejections import DeadLetterReason
from worker.domain.values import LEVELS, MembershipLevel
from worker.letter_box import (
    Letter,
    LetterEntry,
    LetterIndex,
    LetterPage,
    LettersUnavailable,
    ReplayOutcome,
)
from worker.wire import dead_letters as names
from worker.wire.limits import MAX_VALUE_BYTES

AT = 1_764_000_000_000


def a_letter(
    offset: int,
    value: bytes | None = b'{"orderId":"o1"}',
    *,
    reason: str = "INVALID",
    detail: str = "totalAmount: missing",
    topic: str = "order.completed",
    customer_id: str | None = "c1",
    headers: tuple[tuple[str, bytes | None], ...] = (),
    only_hash: bool = False,
) -> Letter:
    """A letter that the worker may have written; one a minute by its offset."""
    at = AT + offset * 60_000
    entry = LetterEntry(
        offset, at, reason, detail[:200], topic, 0, offset + 100, customer_id, len(value or b""), False
    )
    ours = (
        (names.REASON, reason.encode()),
        (names.DETAIL, detail.encode()),
        (names.TOPIC, topic.encode()),
        (names.PARTITION, b"0"),
        (names.OFFSET, b"%d" % (offset + 100)),
        (names.TIMESTAMP, b"%d" % at),
    )
    key = None if customer_id is None else customer_id.encode()
    return Letter(entry, detail, key, value, (*headers, *ours), only_hash)


@dataclass
class InMemoryLetters:
    """All workers' dead letters. Fulfils worker.letter_box.LetterBox.

    Attributes:
        letters: what the topic holds, by offset.
        complete: whether the index looks back to the topic's beginning.
        reading: whether older letters are still being read.
        away: why the letters are unavailable; None while they are not.
        sent: (offset, value, topic) of what was sent back, in order.
    """

    letters: dict[int, Letter] = field(default_factory=dict)
    complete: bool = True
    reading: bool = False
    away: str | None = None
    sent: list[tuple[int, bytes | None, str]] = field(default_factory=list)

    def put(self, *letters: Letter) -> None:
        """Adds letters to the topic."""
        self.letters |= {letter.entry.offset: letter for letter in letters}

    async def page(
        self,
        limit: int,
        before: int | None = None,
        *,
        reason: str | None = None,
        topic: str | None = None,
        customer_id: str | None = None,
    ) -> LetterPage:
        self._check()
        entries = [self._entry(letter) for _, letter in sorted(self.letters.items(), reverse=True)]
        fit = [
            each
            for each in entries
            if (before is None or each.offset < before)
            and (reason is None or each.reason == reason)
            and (topic is None or each.topic == topic)
            and (customer_id is None or each.customer_id == customer_id)
        ]
        more = fit[limit - 1].offset if len(fit) > limit else None
        return LetterPage(tuple(fit[:limit]), more, self._index(entries))

    async def letter(self, offset: int) -> Letter | None:
        self._check()
        found = self.letters.get(offset)
        return None if found is None else replace(found, entry=self._entry(found))

    async def replay(self, offset: int, edited: bytes | None = None) -> ReplayOutcome:
        self._check()
        found = self.letters.get(offset)
        if edited is not None and len(edited) > MAX_VALUE_BYTES:
            return ReplayOutcome.TOO_LARGE
        if found is None:
            return ReplayOutcome.NO_SUCH_LETTER
        if self._entry(found).replayed:
            return ReplayOutcome.SENT_BEFORE
        if found.entry.topic not in ("customer.commands", "order.completed", "order.returned"):
            return ReplayOutcome.FOREIGN
        if found.only_hash and edited is None:
            return ReplayOutcome.ONLY_HASH
        self.sent.append((offset, found.value if edited is None else edited, found.entry.topic))
        return ReplayOutcome.SENT

    def _entry(self, letter: Letter) -> LetterEntry:
        gone = any(offset == letter.entry.offset for offset, _, _ in self.sent)
        return replace(letter.entry, replayed=gone)

    def _index(self, entries: list[LetterEntry]) -> LetterIndex:
        return LetterIndex(
            len(entries),
            entries[-1].written_at if entries else None,
            self.complete,
            self.reading,
            dict(Counter(each.reason for each in entries).most_common()),
            dict(Counter(each.topic for each in entries).most_common()),
        )

    def _check(self) -> None:
        if self.away is not None:
            raise LettersUnavailable(self.away)


def a_board(**fields: Any) -> Board:
    """A board of a worker that holds half of eight partitions; fields: what differs."""
    points = tuple(
        Point(AT - (180 - n) * 5_000, 100.0 + n, 200.0 + 2 * n, n % 7, 12.0 + n % 5, 40.0 + n % 20)
        for n in range(180)
    )
    usual: dict[str, Any] = {
        "at": AT,
        "started_at": AT - 3_600_000,
        "url": "http://one:6066",
        "release": "0.4.0",
        "commit": "0123456789ab",
        "now": Point(AT, 280.5, 561.0, 3, 13.5, 47.0),
        "points": points,
        "lags": tuple(InputLag("order.completed", number, number) for number in range(4)),
        "last_events": tuple(
            PublishedEvent("RewardPointsEarnedEvent", f"c{n}", "2025-11-24T16:00:00.000Z") for n in range(20)
        ),
        "dead_letters": {reason.value: 0 for reason in DeadLetterReason} | {"INVALID": 3},
        "customers": CustomerCounts(
            {level: 1_000 // 10**n for n, level in enumerate(LEVELS)}, vips=1, counting=()
        ),
        "ready": True,
        "reasons": (),
        "restoring": False,
        "transaction_version": 2,
        "clock_ahead_ms": 0,
        "partitions": tuple(
            PartitionPlace(
                n, "http://one:6066" if n < 4 else "http://two:6066", here=n < 4, copied_here=n >= 4
            )
            for n in range(8)
        ),
        "members": tuple(
            GroupMember(f"http://{name}:6066", "0.4.0", "0123456789ab") for name in ("one", "two")
        ),
        "unseen": ("The rates, lag and latency of the other workers are on their own boards.",),
    }
    return Board(**usual | fields)


def counts(standard: int = 0, *, vips: int = 0, counting: tuple[int, ...] = ()) -> CustomerCounts:
    """Customer counts with that many of the lowest level."""
    by_level = dict.fromkeys(LEVELS, 0) | {MembershipLevel.STANDARD: standard}
    return CustomerCounts(by_level, vips, counting)
