"""The interface between the desk and the dead letters on their topic.

Rules:
- Pages come from an index of the latest letters in memory. It is filled while somebody looks, the latest letters first,
  and dropped after some idle minutes. Each answer says how far back it looks.
- A letter's key and value may hold personal data. They are only in `Letter`, and never in an index or an error.
- A letter is replayed once, by whichever worker or console, however often that is asked.
"""

from enum import StrEnum
from typing import Protocol

import msgspec

MOST_LETTERS = 10_000
"""The most letters in the index."""

DETAIL_CHARS = 200
"""The most characters of a letter's detail in the index."""


class LettersUnavailable(Exception):
    """The letters cannot be read or sent now. The text says why, and holds no key or value."""


class LetterEntry(msgspec.Struct, frozen=True):
    """A letter in the index.

    Attributes:
        offset: its offset, which names the letter.
        written_at: when the letter was written, ms since 1970 UTC.
        reason: the code of dlq-reason; empty without one.
        detail: the first DETAIL_CHARS characters of dlq-detail.
        topic: the topic that the original came from; empty when that is not said.
        partition: the original's partition; None when that is not said.
        source_offset: the original's offset; None when that is not said.
        customer_id: the letter's key where it is a valid id, else None. A payment's key may be an orderId.
        size: bytes of the value.
        replayed: whether it was sent back; None while that is not known, and for a letter that is older than the index.
    """

    offset: int
    written_at: int
    reason: str
    detail: str
    topic: str
    partition: int | None
    source_offset: int | None
    customer_id: str | None
    size: int
    replayed: bool | None


class LetterIndex(msgspec.Struct, frozen=True):
    """How far back the index looks.

    Attributes:
        letters: how many letters are in it.
        since: when the oldest of them was written, ms since 1970 UTC; None without letters.
        complete: whether it holds all letters that the topic keeps.
        reading: whether older letters are still being read into it.
        by_reason: how many letters have each reason, the most frequent first.
        by_topic: how many letters came from each topic, the most frequent first.
    """

    letters: int
    since: int | None
    complete: bool
    reading: bool
    by_reason: dict[str, int]
    by_topic: dict[str, int]


class LetterPage(msgspec.Struct, frozen=True):
    """One page of the index.

    Attributes:
        entries: the letters, the latest first.
        next: the `before` of the next page; None on the last page of the index.
        index: how far back the index looks. Older letters are on no page.
    """

    entries: tuple[LetterEntry, ...]
    next: int | None
    index: LetterIndex


class Letter(msgspec.Struct, frozen=True):
    """One letter as a whole.

    Attributes:
        entry: as in the index.
        detail: all of dlq-detail.
        key: the original's key.
        value: the original's value, or its SHA-256.
        headers: all headers, the original's first. A name may be any text.
        only_hash: whether the value is the SHA-256 of the original. Such a letter only goes back with an edited value.
    """

    entry: LetterEntry
    detail: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    only_hash: bool


class ReplayOutcome(StrEnum):
    """What became of a replay. Only SENT sent anything."""

    SENT = "SENT"
    SENT_BEFORE = (
        "SENT_BEFORE"  # an earlier replay sent the letter back, maybe an earlier try of the same form
    )
    ONLY_HASH = "ONLY_HASH"  # it holds only the hash of its value, so it needs an edited value
    FOREIGN = "FOREIGN"  # it does not come from an input topic of this installation
    TOO_LARGE = "TOO_LARGE"  # the edited value is over 1 MiB, which the worker refuses
    NO_SUCH_LETTER = "NO_SUCH_LETTER"  # there is no letter at this offset, or no longer


class LetterBox(Protocol):
    """The dead letters as the desk sees them. Every method raises LettersUnavailable."""

    async def page(
        self,
        limit: int,
        before: int | None = None,
        *,
        reason: str | None = None,
        topic: str | None = None,
        customer_id: str | None = None,
    ) -> LetterPage:
        """A page of the index, the latest letter first.

        The first request begins to fill the index, and waits up to two seconds for the latest letters. A request for one
        customer does not wait, because a customer's page must be quick. While `index.reading`, a later one may show more.

        Args:
            limit: the most entries, from 1 to 200.
            before: the offset below which the page begins; None for the first page.
            reason: only letters with this reason.
            topic: only letters that came from this topic; its name on Kafka, with TOPIC_PREFIX.
            customer_id: only letters with this key.
        """

    async def letter(self, offset: int) -> Letter | None:
        """The letter at this offset, however old; None if there is none."""

    async def replay(self, offset: int, edited: bytes | None = None) -> ReplayOutcome:
        """Send a letter back to its topic, once, as `customer-context dead-letters replay` does.

        Args:
            offset: the letter.
            edited: a value in place of the letter's own; None sends it as it is.

        Raises:
            LettersUnavailable: Kafka does not answer or allow it. If the text says that the outcome is not known, the
                letter may have been sent. A second try is safe.
        """
