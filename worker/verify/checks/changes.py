"""What the ledger says of each version of a customer: one line each, with the customer after its input.

Lines of earlier releases do not say it, and commands had no lines then. So nothing is expected before the first version
that a line names. From there on every version has its line, unless an earlier release wrote again later.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.verify.checks.published import Event
from worker.verify.model.customer import Customer, Published
from worker.verify.reading.inputs import Command
from worker.verify.reading.text import Bad, instant

Line = list[Any]
Change = list[Any]

_SEQUENCE, _INDEX = 5, 8  # of the event sequence and of the change in a ledger line
_FIELDS = ("version", "at", "balance", "debt", "level", "vip", "details")
_UPGRADED, _VIP = "MembershipLevelUpgradedEvent", "CustomerVipUpgradedEvent"


def expected(
    customer: Customer,
    data: Published,
    group: Sequence[Event],
    vip_before: int | None,
    command: Command | None,
) -> Change:
    """The change that the line of an input must have.

    Args:
        customer: the state after the input.
        data: the events that the input must publish.
        group: the events that it published; their time is when it was processed.
        vip_before: vip_since before the input.
        command: the input, if it is a command.
    """
    details = {} if command is None else _of_command(command, data)
    types = [name for name, _ in data]
    if _UPGRADED in types:
        details["upgrade"] = customer.upgraded
    if _VIP in types:
        details["window"] = customer.window
    elif vip_before is not None and customer.vip_since != vip_before:
        details["vip_since"] = customer.vip_since
    is_vip = customer.vip_since is not None
    at = _time_of(group)
    return [customer.version, at, customer.points, customer.debt, customer.level, is_vip, details or None]


def differing(line: Line, change: Change) -> list[str]:
    """Names of the fields in which a line's change differs; empty for a line of an earlier release."""
    found = change_of(line)
    if found is None:
        return []
    padded = found if len(found) == len(_FIELDS) else [*found, None]
    wrong = [
        f"change.{name}"
        for name, one, other in zip(_FIELDS, padded, change, strict=False)
        if one != other and not (name == "at" and other is None and isinstance(one, int))
    ]
    return wrong if len(padded) == len(_FIELDS) else [*wrong, "change (length)"]


def change_of(line: Line) -> Change | None:
    """The change in a ledger line; None in one of an earlier release."""
    found = line[_INDEX] if len(line) > _INDEX else None
    return found if isinstance(found, list) else None


def version_of(line: Line) -> int | None:
    """The version that the line names; None in one of an earlier release."""
    change = change_of(line)
    return change[0] if change and isinstance(change[0], int) and change[0] > 0 else None


def sequence_of(line: Line) -> int:
    """The event sequence in a line; 0 when it cannot be read."""
    return line[_SEQUENCE] if len(line) > _SEQUENCE and isinstance(line[_SEQUENCE], int) else 0


def every_version_from(ledger: Mapping[tuple[str, str], Line]) -> int | None:
    """The version from which on each has a line: the first that a line names.

    None when no line names one, or when an earlier release wrote lines after it.
    """
    named = [(version, line) for line in ledger.values() if (version := version_of(line)) is not None]
    if not named:
        return None
    first, line = min(named, key=lambda each: each[0])
    later = any(
        version_of(each) is None and sequence_of(each) > sequence_of(line) for each in ledger.values()
    )
    return None if later else first


def gaps(ledger: Mapping[tuple[str, str], Line], last: int) -> Iterator[str]:
    """Describe versions that have several lines, or none though they must. last: the customer's version."""
    named = Counter(version for line in ledger.values() if (version := version_of(line)) is not None)
    first = every_version_from(ledger)
    missing = [] if first is None else [each for each in range(first, last + 1) if each not in named]
    surplus = sorted(each for each, count in named.items() if count > 1 or each > last)
    if missing or surplus:
        yield f"versions without a line: {missing[:5]}, with too many: {surplus[:5]}"


def _of_command(command: Command, data: Published) -> dict[str, Any]:
    details: dict[str, Any] = {"command_id": command.id, "command": command.kind}
    if command.actor is not None:
        details["actor"] = command.actor
    if data:
        details["events"] = [name for name, _ in data]
    for name, fields in data:
        if name == "CustomerProfileUpdatedEvent":
            details["fields"] = fields["changedFields"]
        elif name == "NotificationPreferencesUpdatedEvent":
            old, new = fields["oldPreferences"], fields["newPreferences"]
            details["fields"] = [each for each in old if old[each] != new[each]]
        elif name == "CustomerStatusChangedEvent":
            details["before"], details["after"] = fields["oldStatus"], fields["newStatus"]
        elif name == "DeliveryAddressAddedEvent":
            details["addresses"] = fields["totalAddressCount"]
        elif name == "DeliveryAddressRemovedEvent":
            details["addresses"] = fields["remainingAddressCount"]
    return details


def _time_of(group: Sequence[Event]) -> int | None:
    """When the events were published; None without a readable time."""
    try:
        return instant(group[0].time) if group else None
    except Bad:
        return None
