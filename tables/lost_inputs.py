"""lost_inputs: inputs that retention removed before they were read. These are rows of the table `application`.

Key: `inputs-lost` + zero byte + topic -> LostInputs, in the partition of the lost inputs. Each topic has one row: a new
loss is merged with the last one until that is acknowledged. Rows are never deleted, so a loss stays on record.
A row is written in the transaction that moves the position past the loss, so each loss is recorded once.
"""

from collections.abc import Iterable

import msgspec

from tables.application import APPLICATION
from worker.engine.store import Store
from worker.engine.unit import Unit

_LOST = b"inputs-lost\0"


class LostInputs(msgspec.Struct, frozen=True, omit_defaults=True):
    """One loss. Transaction markers are among the lost offsets, and they are not inputs.

    Attributes:
        first: the first lost offset.
        next_kept: the first offset after the loss.
        at: when the loss was noticed, ms since 1970 UTC.
        acknowledged_at: ms since 1970 UTC; None until an operator acknowledges the loss.
    """

    first: int
    next_kept: int
    at: int
    acknowledged_at: int | None = None

    def sentence(self, topic: str, partition: int) -> str:
        """The loss as text for people."""
        return (
            f"inputs lost to retention in {topic}-{partition}: offsets {self.first} to {self.next_kept - 1}"
        )


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LostInputs).decode


def remember(unit: Unit, topic: str, first: int, next_kept: int, now: int) -> None:
    """Record that these offsets are lost. An unacknowledged earlier loss is merged with it."""
    before = _read(unit, topic)
    if before is not None and before.acknowledged_at is None:
        first = min(first, before.first)
    unit.put(APPLICATION, _LOST + topic.encode(), _encode(LostInputs(first, next_kept, now)))


def acknowledge(unit: Unit, topic: str, next_kept: int, now: int) -> LostInputs | None:
    """Record that an operator knows of the loss that ends before `next_kept`.

    Returns:
        The acknowledged loss; None if there is none, it was acknowledged before, or more was lost since.
    """
    lost = _read(unit, topic)
    if lost is None or lost.acknowledged_at is not None or lost.next_kept != next_kept:
        return None
    acknowledged = msgspec.structs.replace(lost, acknowledged_at=now)
    unit.put(APPLICATION, _LOST + topic.encode(), _encode(acknowledged))
    return acknowledged


def of(store: Store) -> dict[str, LostInputs]:
    """The committed losses in the store of a partition, by topic."""
    return read(store.scan(APPLICATION.mark, _LOST))


def read(rows: Iterable[tuple[bytes, bytes]]) -> dict[str, LostInputs]:
    """The losses in these rows of one partition, by topic."""
    return {key[len(_LOST) :].decode(): _decode(value) for key, value in rows if key.startswith(_LOST)}


def _read(unit: Unit, topic: str) -> LostInputs | None:
    value = unit.get(APPLICATION, _LOST + topic.encode())
    return None if value is None else _decode(value)
