"""application: facts about the application itself, in each partition that has processed anything.

Keys: `prefix` -> the TOPIC_PREFIX that the APP_ID belongs to; `format` -> the newest data format that was written;
`rules` + zero byte + version -> the claim of a rules version by which an order has counted; `lost` + zero byte + topic ->
when the loss of an input topic was accepted (ms since 1970 UTC).
Rows are written in the transaction of the first batch that needs them, and never deleted.
"""

from collections.abc import Iterable

import msgspec

from worker.engine.unit import Table, Unit
from worker.membership import RuleClaim

APPLICATION = Table("application", b"A")

_PREFIX, _FORMAT, _RULES, _LOST = b"prefix", b"format", b"rules\0", b"lost\0"

_encode = msgspec.json.Encoder().encode
_decode_rules = msgspec.json.Decoder(RuleClaim).decode
_decode_prefix = msgspec.json.Decoder(str).decode
_decode_format = msgspec.json.Decoder(int).decode


class Application(msgspec.Struct):
    """The facts of one or more partitions. prefix: None while nothing was processed. rules: by version."""

    prefix: str | None = None
    data_format: int = 0
    rules: dict[str, RuleClaim] = msgspec.field(default_factory=dict)


def read(rows: Iterable[tuple[bytes, bytes]]) -> Application:
    """Combine rows of the table, from one partition or from all."""
    found = Application()
    for key, value in rows:
        if key == _PREFIX:
            found.prefix = _decode_prefix(value)
        elif key == _FORMAT:
            found.data_format = max(found.data_format, _decode_format(value))
        elif key.startswith(_RULES):
            found.rules[key[len(_RULES) :].decode()] = _decode_rules(value)
    return found


def remember(unit: Unit, prefix: str, data_format: int) -> None:
    """Write the TOPIC_PREFIX and the data format of this partition, unless its rows already have them."""
    known = _known(unit)
    if known.prefix != prefix:
        known.prefix = prefix
        unit.put(APPLICATION, _PREFIX, _encode(prefix))
    if known.data_format < data_format:
        known.data_format = data_format
        unit.put(APPLICATION, _FORMAT, _encode(data_format))


def knows_rules(unit: Unit, version: str) -> bool:
    """Whether a row has the claim of that version of the rules."""
    return version in _known(unit).rules


def remember_rules(unit: Unit, version: str, claim: RuleClaim) -> None:
    """Write the claim of a version by which an order has counted."""
    _known(unit).rules[version] = claim
    unit.put(APPLICATION, _RULES + version.encode(), _encode(claim))


def lost_row(topic: str, now: int) -> tuple[bytes, bytes]:
    """Key and value of the row that records an accepted loss of a topic. now: ms since 1970 UTC."""
    return _LOST + topic.encode(), _encode(now)


def _known(unit: Unit) -> Application:
    """The facts of this partition. They are read once per assignment, because the partition has only one writer."""
    found: Application | None = unit.carried.get(APPLICATION.name)
    if found is None:
        found = unit.carried[APPLICATION.name] = read(unit.scan(APPLICATION, b""))
    return found
