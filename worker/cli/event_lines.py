"""A published event as one line for a person."""

from typing import Any

import msgspec
from rich.text import Text

from worker.cli.output import shown, shown_bytes

_MILESTONES = {"MembershipLevelUpgradedEvent": "bold yellow", "CustomerVipUpgradedEvent": "bold magenta"}
_SECONDS = slice(0, len("2026-11-24T10:15:30"))

_LONGEST = 10_000

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def customer_of(record_key: bytes | None) -> str:
    """The customerId in the key of a record of customer.events."""
    return (record_key or b"").decode(errors="replace")


def pretty(value: bytes, *, with_day: bool = True) -> Text:
    """One line: time (UTC), customerId, sequence, type, and the event's own fields.

    A record that is not an event is shown as it is, because anybody may have written it.
    """
    try:
        event = _decode(value)
    except (msgspec.DecodeError, RecursionError):
        return Text(shown_bytes(value[:_LONGEST]), style="dim", no_wrap=True, overflow="ellipsis")
    data = event.get("data")
    fields = data.items() if isinstance(data, dict) else ()
    day, _, time = str(event.get("time", ""))[_SECONDS].partition("T")
    kind = str(event.get("type", ""))
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(shown(f"{day} {time} " if with_day else f"{time} "), style="dim")
    line.append(shown(f"{event.get('subject', '')} "), style="cyan")
    line.append(shown(f"#{event.get('sequence', '')} ".ljust(4)), style="dim")
    line.append(shown(f"{kind} "), style=_MILESTONES.get(kind, "green"))
    own = (f"{name}={_short(inner)}" for name, inner in fields if name != "customerId")
    line.append(shown(" ".join(own)))
    return line


def _short(value: object) -> str:
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
