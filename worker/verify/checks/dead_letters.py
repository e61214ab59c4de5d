"""Dead letters: each required one exists once, with a right reason and its original (contract, section 1).

Some reasons depend on facts that the logs do not hold. The constants below name them. The checks of other modules
trust such a dead letter as far as it can be right.
"""

import hashlib
from collections.abc import Iterable

from worker.verify.reading.card_numbers import of_value
from worker.verify.reading.contents import Record
from worker.verify.reading.deliveries import Expected
from worker.verify.reading.inputs import MAX_OTHER_BYTES, Position, others
from worker.verify.report import Report

_MASKED = "dlq-masked"
_OURS = ("dlq-reason", "dlq-detail", "dlq-topic", "dlq-partition", "dlq-offset", "dlq-timestamp", _MASKED)
_ALWAYS_FITS = 65_536
"""An input of up to this many bytes fits into every topic."""

NOT_SEEN = "WAITING_LIMIT"
"""The reason of an input that was dropped because too many inputs waited at that moment. It counts as never seen."""

EXPIRED = "WAITING_EXPIRED"
"""The reason of an input that waited too long, by a worker's clock. It counts as never seen."""

REFUSED = "CUSTOMER_ERASED"
"""The reason of an input after an erasure. The logs do not tell which inputs of other topics came after it."""


REFUSED_SIZE = "TOO_LARGE"
"""The reason of an input that is over the limits, or too large for one of our topics."""

FAILED = "FAILED"
"""The reason of an input whose processing failed in the worker. It had no effect."""

CONFLICTED = "RETURN_CONFLICT"
"""The reason of a return that does not fit its order. That depends on the state of the order when the return came."""


def source_of(record: Record) -> Position | None:
    """The position of the original; None when the headers do not name it."""
    headers = dict(record.headers)
    try:
        topic, partition, offset = (
            headers[f"dlq-{name}"] or b"" for name in ("topic", "partition", "offset")
        )
        return Position(topic.decode(), int(partition), int(offset))
    except (KeyError, ValueError):
        return None


def reason_of(record: Record) -> str:
    """The reason code of a dead letter; empty without one."""
    return (dict(record.headers).get("dlq-reason") or b"").decode(errors="replace")


def sources_with(reason: str, found: Iterable[Record]) -> dict[Position | None, int]:
    """The originals with a dead letter of this reason.

    Returns:
        Position of the original -> time of its last such dead letter, in ms since 1970 UTC.
    """
    return {source_of(record): record.timestamp for record in found if reason_of(record) == reason}


def compare(
    found: Iterable[Record], expected: Iterable[Expected], excused: set[Position], report: Report
) -> None:
    """Compare the dead letters with the expected ones.

    Args:
        found: the records of the dead letter topic.
        expected: the dead letters that inputs must or may have.
        excused: positions of inputs that cannot be verified.
        report: receives the differences.
    """
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
    original = wanted.source.value or b""
    if _is_bare(record, original):
        return
    if reason_of(record) not in wanted.reasons:
        wrong.append(f"reason {reason_of(record)}, not {' or '.join(sorted(wanted.reasons)) or 'any'}")
    own = [(name, value) for name, value in record.headers if name not in _OURS]
    given = [(name, value) for name, value in wanted.source.headers if name not in _OURS]
    if others(wanted.source.key, given) > MAX_OTHER_BYTES:
        if record.key is not None or own:
            wrong.append("(key and headers over the limit)")
    else:
        if record.key != wanted.source.key:
            wrong.append("(record key)")
        if own != given:
            wrong.append("(headers)")
    problem = _value_problem(record, wanted.source, original)
    if problem:
        wrong.append(problem)
    if wrong:
        report.differs("dead letter", str(wanted.source.position), ", ".join(wrong))


def _value_problem(record: Record, source: Record, original: bytes) -> str:
    """The problem with the value of a dead letter; empty when it is right."""
    withheld, mask = source.withheld, dict(record.headers).get(_MASKED)
    digest = withheld.digest if withheld and withheld.digest else hashlib.sha256(original).hexdigest()
    if withheld is not None:
        return "" if (record.value, mask) == (digest.encode(), b"size") else "(value of a large input)"
    holds_card = of_value(original)
    if record.value == original:
        return "(value) holds a card number" if holds_card else ""
    if record.value != digest.encode():
        return "(value)"
    fits = len(original) + others(source.key, source.headers) <= _ALWAYS_FITS
    return "(value) masked without need" if not holds_card and (mask != b"size" or fits) else ""


def _is_bare(record: Record, original: bytes) -> bool:
    """Whether this FAILED dead letter has only a digest: the worker could not even send the input unchanged."""
    given = [name for name, _ in record.headers if name not in _OURS]
    hashed = hashlib.sha256(original).hexdigest().encode()
    return reason_of(record) == FAILED and record.key is None and not given and record.value == hashed
