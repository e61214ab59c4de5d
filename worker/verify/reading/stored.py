"""Decodes rows of the tables: MessagePack for waiting inputs, JSON for everything else."""

import json
from decimal import Decimal
from typing import Any

import msgspec

_decoder = json.JSONDecoder(parse_float=Decimal)
_WAITING = ("timestamp", "topic", "partition", "offset", "key", "value", "headers")


def json_row(value: bytes) -> Any:
    """Decode a JSON row; fractions become Decimal. Raises ValueError."""
    return _decoder.decode(value.decode())


def waiting_row(value: bytes) -> Any:
    """Decode a waiting input to field name -> value. Earlier versions stored JSON. Raises ValueError."""
    if value.startswith(b"{"):
        return json_row(value)
    try:
        return dict(zip(_WAITING, msgspec.msgpack.decode(value), strict=True))
    except (msgspec.DecodeError, TypeError) as error:
        raise ValueError("not a row of what waits") from error
