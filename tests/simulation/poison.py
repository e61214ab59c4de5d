"""Records that cannot be processed, with the reason of their dead letters.

BROKEN holds small ones, cheap enough for thousands of simulated runs. tests.faults.corpus has the large collection.
"""

import json
from typing import NamedTuple

EVERYWHERE = ("customer.commands", "order.completed", "payment.completed", "order.returned")
EVENTS = EVERYWHERE[1:]


class Poison(NamedTuple):
    """One broken record. reason: its code; "" when it is ignored. as_command: its code on the command topic, if different."""

    name: str
    value: bytes | None
    reason: str
    topics: tuple[str, ...] = EVERYWHERE
    key: bytes | None = b"c1"
    headers: tuple[tuple[str, bytes], ...] = ()
    as_command: str | None = None

    def reason_on(self, topic: str) -> str:
        """The reason code of this record on that topic."""
        if topic == "customer.commands" and self.as_command is not None:
            return self.as_command
        return self.reason


def _order(**changes: object) -> bytes:
    order = {
        "eventId": "bad",
        "orderId": "bad",
        "customerId": "c1",
        "totalAmount": {"amount": "1.00", "currency": "USD"},
        "occurredOn": "2026-11-01T00:00:00Z",
    }
    return json.dumps(order | changes).encode()


BROKEN = (
    Poison("empty", b"", "UNDECODABLE"),
    Poison("list", b"[]", "UNDECODABLE"),
    Poison("half", b'{"eventId":', "UNDECODABLE"),
    Poison("no utf-8", b'{"eventId":"\xff\xfe"}', "UNDECODABLE"),
    Poison("tombstone", None, ""),
    Poison("nan", b'{"a":NaN}', "UNDECODABLE"),
    Poison("no fields", b"{}", "INVALID"),
    Poison("negative", _order(totalAmount={"amount": "-1.00", "currency": "USD"}), "INVALID", EVENTS[:1]),
    Poison("precise", _order(totalAmount={"amount": "1.001", "currency": "USD"}), "INVALID", EVENTS[:1]),
    Poison("float text", _order(totalAmount={"amount": "1e2", "currency": "USD"}), "INVALID", EVENTS[:1]),
    Poison("no time", _order(occurredOn="2026-11-01"), "INVALID", EVENTS[:1], key=None),
    Poison("number as id", _order(orderId=7), "INVALID", EVENTS[:1], key=b"\xff"),
    Poison(
        "other type",
        b'{"specversion":"1.0","type":"Elsewhere","id":"1","source":"/s","data":{}}',
        "UNKNOWN_TYPE",
        EVENTS,
    ),
    Poison(
        "command without customer", b'{"commandId":"x","commandType":"EraseAll"}', "INVALID", EVERYWHERE[:1]
    ),
)
