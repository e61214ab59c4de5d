"""day_totals: customerId, kind, currency, block of days -> minor units per day (JSON).

A customer's row keeps the days that an order up to three years late may need. This table has the earlier days. So an
even later order reads a few of these rows instead of the customer's whole ledger. Kinds are worker.domain.state's.
"""

from collections.abc import Iterable

import msgspec

from tables.rows import Rows, compound
from worker.domain.spending import OldDays
from worker.engine.unit import Table, Unit

DAY_TOTALS = Table("day_totals", b"D")

_BLOCK_DAYS = 64
_MOST_LOOKED_UP = 24  # blocks; those of a VIP window are fewer
_BLOCK_BASE = 10_000  # added to a block's number, which is negative before 1970

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[int, int]).decode


def read(rows: Rows, customer_id: str, kind: str, currency: str, first: int, last: int) -> dict[int, int]:
    """Minor units per day, for the days first to last (since 1970, both included). Work grows with the days.

    Many days are read with one scan, because most of their blocks may be missing.
    """
    found: dict[int, int] = {}
    blocks = range(first // _BLOCK_DAYS, last // _BLOCK_DAYS + 1)
    if len(blocks) > _MOST_LOOKED_UP:
        for _, raw in rows.scan(DAY_TOTALS, compound(customer_id, f"{kind}{currency}", "")):
            found |= _decode(raw)
    else:
        for block in blocks:
            found |= _block(rows, _key(customer_id, kind, currency, block))
    return {day: amount for day, amount in found.items() if first <= day <= last}


def add(unit: Unit, customer_id: str, days: Iterable[OldDays]) -> None:
    """Add to the days' totals. Each block is written once."""
    blocks: dict[bytes, dict[int, int]] = {}
    for kind, currency, amounts in days:
        for day, amount in amounts.items():
            key = _key(customer_id, kind, currency, day // _BLOCK_DAYS)
            block = blocks.get(key)
            if block is None:
                block = blocks[key] = _block(unit, key)
            block[day] = block.get(day, 0) + amount
    _put(unit, blocks)


def replace(unit: Unit, customer_id: str, days: Iterable[OldDays]) -> None:
    """Overwrite the totals of all days that the customer's row no longer keeps."""
    blocks: dict[bytes, dict[int, int]] = {}
    for kind, currency, amounts in days:
        for day, amount in amounts.items():
            block = blocks.setdefault(_key(customer_id, kind, currency, day // _BLOCK_DAYS), {})
            block[day] = amount
    _put(unit, blocks)


def _block(rows: Rows, key: bytes) -> dict[int, int]:
    raw = rows.get(DAY_TOTALS, key)
    return {} if raw is None else _decode(raw)


def _put(unit: Unit, blocks: dict[bytes, dict[int, int]]) -> None:
    for key, block in blocks.items():
        unit.put(DAY_TOTALS, key, _encode(block))


def _key(customer_id: str, kind: str, currency: str, block: int) -> bytes:
    return compound(customer_id, f"{kind}{currency}", str(block + _BLOCK_BASE))
