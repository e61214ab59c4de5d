"""A published event as one line for a person."""

from typing import Any

import msgspec
from rich.text import Text

_MILESTONES = {"MembershipLevelUpgradedEvent": "bold yellow", "CustomerVipUpgradedEvent": "bold magenta"}
_SECONDS = slice(0, len("2026-11-24T10:15:30"))

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def customer_of(record_key: bytes | None) -> str:
    """The customerId that a record of customer.events is keyed by."""
    return (record_key or b"").decode(errors="replace")


def pretty(value: bytes, *, with_day: bool = True) -> Text:
    """When (UTC), who, the how manieth of this customer, what, and the event's own fields."""
    event = _decode(value)
    data = {name: inner for name, inner in event.get("data", {}).items() if name != "customerId"}
    day, _, time = str(event.get("time", ""))[_SECONDS].partition("T")
    kind = str(event.get("type", ""))
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{day} {time} " if with_day else f"{time} ", style="dim")
    line.append(f"{event.get('subject', '')} ", style="cyan")
    line.append(f"#{event.get('sequence', '')} ".ljust(4), style="dim")
    line.append(f"{kind} ", style=_MILESTONES.get(kind, "green"))
    line.append(" ".join(f"{name}={_short(inner)}" for name, inner in data.items()))
    return line


def _short(value: object) -> str:
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
