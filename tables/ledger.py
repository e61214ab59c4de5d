"""ledger: customerId, kind, id -> LedgerLine (JSON array). Rows are never deleted. Kinds are worker.domain.state's.

It has two indexes:
- By customer and time, in two parts: lines that changed points, and orders that did not. So the points history and the
  orders of a time range are read without the customer's other lines.
- By customer and version, with the kind and the id of each line: all lines, and those that raised the level. Lines that
  an earlier version of the program wrote do not know their version, and are not in it.
"""

from collections.abc import Iterator
from heapq import merge
from itertools import islice

import msgspec

from tables import day_totals
from tables.rows import Rows, compound
from worker import native
from worker.domain.changes import Change
from worker.domain.state import ORDER, HistoryKey, LedgerLine, PastOrder, VersionEntry
from worker.domain.usual import Counted
from worker.engine.unit import Table, Unit

Entry = tuple[str, str, LedgerLine]
"""kind, id and line."""

_MOVED, _EARNED_NOTHING = "P", "O"
_ALL, _LEVELS = "V", "U"
# Added to times (1900 to 9999), and to sequences and versions, so that all have the same number of digits.
_TIME_BASE, _SEQUENCE_BASE = 2 * 10**15, 10**10
_TIME_DIGITS = 16
_END = b"\xff"
_ORDER = f"{ORDER}\0".encode()

_encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(LedgerLine).decode
"""The line of a stored value."""


def parts(key: bytes) -> tuple[str, str, str]:
    """customerId, kind and id of a stored key."""
    customer_id, kind, line_id = key.decode().split("\0")
    return customer_id, kind, line_id


def _index_key(customer_id: str, line: LedgerLine) -> bytes:
    """The index's key: customerId, whether points changed, time and sequence.

    Lines of the same time are in the order in which they counted. An input that changes points publishes events, which
    raise the sequence.
    """
    part = _MOVED if line.points else _EARNED_NOTHING
    time, sequence = line.occurred_at + _TIME_BASE, line.sequence + _SEQUENCE_BASE
    return f"{customer_id}\0{part}{time}{sequence}".encode()


def _tail(key: HistoryKey) -> bytes:
    """The part of the index's key that holds time and sequence."""
    return b"%d%d" % (key.occurred_at + _TIME_BASE, key.sequence + _SEQUENCE_BASE)


def _version_key(customer_id: str, part: str, version: int) -> bytes:
    return f"{customer_id}\0{part}{version + _SEQUENCE_BASE}".encode()


def _derive(key: bytes, value: bytes) -> list[tuple[Table, bytes, bytes]]:
    """The rows of the indexes for a stored line."""
    customer, named = key.split(b"\0", 1)
    return _indexed(customer.decode(), named, decode(value))


def _indexed(customer_id: str, named: bytes, line: LedgerLine) -> list[tuple[Table, bytes, bytes]]:
    """The rows of the indexes for a line.

    A row holds kind and id of the line, and of an order its amount too. So the orders of a day are read without a look-up
    of each line.

    Args:
        customer_id: the customer.
        named: kind and id of the line, as in its key.
        line: the line.
    """
    found: list[tuple[Table, bytes, bytes]] = []
    if named.startswith(_ORDER):
        amount = f"\0{line.amount}\0{line.currency}".encode()
        found.append((LEDGER_INDEX, _index_key(customer_id, line), named + amount))
    elif line.points:
        found.append((LEDGER_INDEX, _index_key(customer_id, line), named))
    change = line.change
    if change is not None:
        found.append((LEDGER_VERSIONS, _version_key(customer_id, _ALL, change.version), named))
        if change.details is not None and change.details.upgrade is not None:
            found.append((LEDGER_VERSIONS, _version_key(customer_id, _LEVELS, change.version), named))
    return found


def _past_order(occurred_at: int, named: bytes) -> PastOrder:
    _, _, rest = named.split(b"\0", 2)
    if rest.startswith(b"["):  # an earlier version of the program wrote the whole line
        line = decode(rest)
        return PastOrder(occurred_at, line.amount, line.currency)
    amount, currency = rest.decode().split("\0")
    return PastOrder(occurred_at, int(amount), currency)


LEDGER_INDEX = Table("ledger_index", b"l")
LEDGER_VERSIONS = Table("ledger_versions", b"v")
LEDGER = Table("ledger", b"L", (LEDGER_INDEX, LEDGER_VERSIONS), _derive)


class CustomerLedger:
    """The lines of one customer. Implements worker.domain.state.Ledger."""

    def __init__(self, rows: Rows, customer_id: str) -> None:
        self._rows = rows
        self._customer_id = customer_id

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        """The line of that kind and id, or None."""
        raw = self._rows.get(LEDGER, key_of(self._customer_id, kind, line_id))
        return None if raw is None else decode(raw)

    def orders_before(self, end: int, first: int) -> Iterator[PastOrder]:
        """Iterate over counted orders from `first` (included) to `end` (excluded), the latest first. Both in ms."""
        below = b"%d" % (end + _TIME_BASE)
        parts = (self._part(part, below) for part in (_MOVED, _EARNED_NOTHING))
        for index_key, value in merge(*parts, reverse=True):
            occurred_at = int(index_key[:_TIME_DIGITS]) - _TIME_BASE
            if occurred_at < first:
                return
            if value.startswith(_ORDER):
                yield _past_order(occurred_at, value)

    def old_days(self, kind: str, currency: str, first: int, last: int) -> dict[int, int]:
        """Minor units per day, first to last, of the days that the customer's row no longer keeps."""
        return day_totals.read(self._rows, self._customer_id, kind, currency, first, last)

    def newest(self, limit: int, before: HistoryKey | None = None) -> list[Entry]:
        """The latest lines that changed points, by time of occurrence, then by sequence, the latest first.

        Args:
            limit: the most lines.
            before: only lines with smaller keys; None for all.
        """
        below = _END if before is None else _tail(before)
        return [self._entry(value) for _, value in islice(self._part(_MOVED, below), limit)]

    def versions(self, first: int, last: int) -> list[VersionEntry]:
        """The lines of the versions from `first` to `last`, both included, the latest first.

        Versions that an earlier version of the program made have none.
        """
        prefix, end = (
            compound(self._customer_id, ""),
            _version_key(self._customer_id, _ALL, last + 1),
        )
        found = []
        for key, named in self._rows.before(LEDGER_VERSIONS, prefix + _ALL.encode(), end):
            version = int(key[len(prefix) + 1 :]) - _SEQUENCE_BASE
            if version < first:
                break
            found.append(VersionEntry(version, *self._entry(named)))
        return found

    def last_upgrade(self) -> VersionEntry | None:
        """The line that gave the customer the level; None for the first level, or where no line says it."""
        prefix = compound(self._customer_id, _LEVELS)
        for key, named in self._rows.before(LEDGER_VERSIONS, prefix, prefix + _END):
            return VersionEntry(int(key[len(prefix) :]) - _SEQUENCE_BASE, *self._entry(named))
        return None

    def _entry(self, named: bytes) -> Entry:
        kind, line_id = named.decode().split("\0")[:2]
        raw = self._rows.get(LEDGER, key_of(self._customer_id, kind, line_id))
        if raw is None:
            raise ValueError("an index names a ledger line that is missing")
        return kind, line_id, decode(raw)

    def _part(self, part: str, below: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(time and sequence, value) of one part of the index, descending. below: the end of the greatest key."""
        prefix = compound(self._customer_id, part)
        for key, value in self._rows.before(LEDGER_INDEX, prefix, prefix + below):
            yield key[len(prefix) :], value


def key_of(customer_id: str, kind: str, line_id: str) -> bytes:
    """The key of a line: what `compound` returns, in half the time, because every order needs two."""
    return f"{customer_id}\0{kind}\0{line_id}".encode()


def put(unit: Unit, customer_id: str, kind: str, line_id: str, line: LedgerLine) -> None:
    """Write a line."""
    key = key_of(customer_id, kind, line_id)
    unit.put(LEDGER, key, _encode(line))
    for index, row, value in _indexed(customer_id, key[key.index(0) + 1 :], line):
        unit.put_derived(index, row, value)


def usual_texts(earns: bool) -> tuple[native.Text, ...]:
    """The templates of what `put` writes for a usual order (worker.domain.usual) that earns points, or none.

    First comes the line. Key and value of its row in the index by time follow. Last is its key in the index by version.
    """
    part = _MOVED if earns else _EARNED_NOTHING
    customer, order, currency = ("t", "customer_id"), ("t", "order_id"), ("t", "currency")
    names = Counted._fields
    return (
        native.text(
            lambda *values: "[{},{},{},{},{},{},null,0,[{},{},{},{},{},{},null]]".format(*values),
            names,
            ("i", "amount"),
            ("q", "currency"),
            ("i", "points"),
            ("i", "occurred_at"),
            ("q", "rules_version"),
            ("i", "sequence"),
            ("i", "version"),
            ("i", "at"),
            ("i", "balance"),
            ("i", "debt"),
            ("q", "level"),
            ("b", "vip"),
        ),
        native.text(
            lambda customer, time, sequence: f"{customer}\0{part}{time}{sequence}",
            names,
            customer,
            ("i", "occurred_at", _TIME_BASE),
            ("i", "sequence", _SEQUENCE_BASE),
        ),
        native.text(
            lambda order, amount, currency: f"{ORDER}\0{order}\0{amount}\0{currency}",
            names,
            order,
            ("i", "amount"),
            currency,
        ),
        native.text(
            lambda customer, version: f"{customer}\0{_ALL}{version}",
            names,
            customer,
            ("i", "version", _SEQUENCE_BASE),
        ),
    )


def usual_line(counted: Counted) -> LedgerLine:
    """The line of a usual order."""
    change = Change(counted.version, counted.at, counted.balance, counted.debt, counted.level, counted.vip)
    return LedgerLine(
        counted.amount,
        counted.currency,
        counted.points,
        counted.occurred_at,
        counted.rules_version,
        counted.sequence,
        change=change,
    )


def put_usual(unit: Unit, key: bytes, line: bytes, moment: bytes, amount: bytes, version: bytes) -> None:
    """Write the line of a usual order and its rows in the indexes, from the texts of `usual_texts`."""
    unit.put(LEDGER, key, line)
    unit.put_derived(LEDGER_INDEX, moment, amount)
    unit.put_derived(LEDGER_VERSIONS, version, key[key.index(0) + 1 :])
