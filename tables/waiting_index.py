"""The index of `waiting`: inputs by age and by time of occurrence, and returns by the order for which they wait.

A row holds the kind and the id of an input. The input itself is in the row of `waiting`.
"""

from collections.abc import Callable, Iterator

from tables.rows import Rows, compound
from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered
from worker.engine.unit import Table
from worker.wire.inputs import NOT_KNOWN_YET, decode_order, decode_payment, decode_return

WAITING_INDEX = Table("waiting_index", b"w")

Row = tuple[bytes, bytes]
_Decode = Callable[..., OrderCompleted | PaymentCompleted | OrderReturned]

_AGE, _OCCURRED, _OF_ORDER = "A", "O", "R"
_END = b"\xff"
# Times are subtracted from this, so that a descending read returns the oldest first.
_TIMES_END = 10**15
_OFFSETS_END = 10**19
# Among inputs of the same time orders come first, because returns may belong to them.
_DECODERS: dict[str, _Decode] = {
    "O": lambda value, headers: decode_order(value, headers, stored=True),
    "P": lambda value, headers: decode_payment(value, headers, NOT_KNOWN_YET, stored=True),
    "T": lambda value, headers: decode_return(value, headers, stored=True),
}
_RANK = {kind: 9 - number for number, kind in enumerate(_DECODERS)}


def rows_of(
    owner: str, kind: str, waiting_id: str, *, timestamp: int, offset: int, value: bytes, headers: object
) -> list[Row]:
    """The index's rows for a waiting input; empty for a command."""
    if kind not in _DECODERS:
        return []
    named = f"{kind}{waiting_id}".encode()
    rows = [(compound(owner, f"{_AGE}{_TIMES_END - timestamp:016d}", f"{kind}{waiting_id}"), named)]
    try:
        purchase = _DECODERS[kind](value, headers)
    except DeadLettered:  # an earlier version with laxer checks stored it
        purchase = None
    occurred_at = timestamp if purchase is None else purchase.occurred_at
    sort_key = f"{_OCCURRED}{_TIMES_END - occurred_at:016d}{_RANK[kind]}{_OFFSETS_END - offset:020d}"
    rows.append((compound(owner, sort_key, f"{kind}{waiting_id}"), named))
    if isinstance(purchase, OrderReturned):
        rows.append((compound(owner, _OF_ORDER, purchase.order_id, sort_key, waiting_id), named))
    return rows


def oldest(rows: Rows, owner: str) -> Iterator[tuple[str, str, int]]:
    """Kind, id and timestamp (ms since 1970 UTC) of the waiting inputs, the oldest first."""
    prefix = compound(owner, _AGE)
    for key, named in rows.before(WAITING_INDEX, prefix, prefix + _END):
        yield *_kind_and_id(named), _TIMES_END - int(key[len(prefix) : len(prefix) + 16])


def by_occurrence(rows: Rows, owner: str, after: str) -> Iterator[tuple[str, str, str]]:
    """Sort key, kind and id of the waiting inputs, by time of occurrence. after: a yielded sort key; "" for the first."""
    prefix = compound(owner, _OCCURRED)
    for key, named in rows.before(WAITING_INDEX, prefix, prefix + (after.encode() or _END)):
        yield key[len(prefix) :].decode(), *_kind_and_id(named)


def returns_of(rows: Rows, owner: str, order_id: str) -> Iterator[str]:
    """Ids of the returns that wait for that order, by time of occurrence."""
    prefix = compound(owner, _OF_ORDER, order_id, "")
    for _, named in rows.before(WAITING_INDEX, prefix, prefix + _END):
        yield _kind_and_id(named)[1]


def _kind_and_id(named: bytes) -> tuple[str, str]:
    text = named.decode()
    return text[0], text[1:]
