"""Dead letters: each that has to be there once, with its reason, its original and nothing more (CONTRACT section 1)."""

import hashlib
from collections.abc import Iterable

from worker.verify.contents import Record
from worker.verify.deliveries import Expected
from worker.verify.inputs import Position
from worker.verify.report import Report
from worker.verify.text import holds_card_number

_OURS = ("dlq-reason", "dlq-detail", "dlq-topic", "dlq-partition", "dlq-offset")
NOT_SEEN = "WAITING_LIMIT"
"""The reason after which an input counts as never seen: what becomes of it depends on how much waited at that moment."""

EXPIRED = "WAITING_EXPIRED"
"""The same after it waited too long, by a worker's clock."""

REFUSED = "CUSTOMER_ERASED"
"""The reason of what came after an erasure: whether it came after depends on how topics were mixed."""


CONFLICTED = "RETURN_CONFLICT"
"""The reason of returns that do not fit: whether one fits depends on what came of the order before it."""


def source_of(record: Record) -> Position | None:
    """Where the original was; None when the headers do not say."""
    headers = dict(record.headers)
    try:
        return Position(
            headers["dlq-topic"].decode(), int(headers["dlq-partition"]), int(headers["dlq-offset"])
        )
    except (KeyError, ValueError):
        return None


def reason_of(record: Record) -> str:
    """The code; empty without one."""
    return dict(record.headers).get("dlq-reason", b"").decode(errors="replace")


def sources_with(reason: str, found: Iterable[Record]) -> dict[Position | None, int]:
    """Where the originals were that have this reason -> when the last dead letter was written, ms since 1970 UTC."""
    return {source_of(record): record.timestamp for record in found if reason_of(record) == reason}


def compare(
    found: Iterable[Record], expected: Iterable[Expected], excused: set[Position], report: Report
) -> None:
    """excused: positions that cannot be judged."""
    wanted = {each.source.position: each for each in expected}
    seen: set[Position] = set()
    for record in found:
        report.counts["dead letters"] += 1
        position = source_of(record)
        if position is None:
            report.differs("dead letter", str(record.position), "does not say where it comes from")
        elif position in seen:
            report.differs("dead letter", str(position), "doubled")
        elif position in wanted:
            _compare_one(record, wanted[position], report)
        elif position not in excused:
            report.differs("dead letter", str(position), f"{reason_of(record)}, but the input is good")
        if position is not None:
            seen.add(position)
    for position, each in wanted.items():
        if each.due and position not in seen and each.reasons:
            report.differs("dead letter", str(position), f"missing, {' or '.join(sorted(each.reasons))}")


def _compare_one(record: Record, wanted: Expected, report: Report) -> None:
    wrong = []
    if reason_of(record) not in wanted.reasons:
        wrong.append(f"reason {reason_of(record)}, not {' or '.join(sorted(wanted.reasons)) or 'any'}")
    if record.key != wanted.source.key:
        wrong.append("(record key)")
    kept = [(name, value) for name, value in record.headers if name not in _OURS]
    given = [(name, value) for name, value in wanted.source.headers if name not in _OURS]
    if kept != given:
        wrong.append("(headers)")
    original = wanted.source.value or b""
    if record.value != original and record.value != hashlib.sha256(original).hexdigest().encode():
        wrong.append("(value)")
    elif record.value == original and holds_card_number(original.decode("utf-8", "replace")):
        wrong.append("(value) holds a card number")
    if wrong:
        report.differs("dead letter", str(wanted.source.position), ", ".join(wrong))
