"""How the entries of the timeline are made from the ledger lines of a customer's versions."""

from collections.abc import Sequence

from api.explained import wording
from api.views import MoneyView, TimelineEntryView, TimelineView
from worker.domain.rules import RuleBook
from worker.domain.state import (
    ADJUSTMENT,
    CANCELLATION,
    ORDER,
    PAYMENT,
    REDEMPTION,
    RETURN,
    VersionEntry,
)
from worker.wire.money import format_amount
from worker.wire.times import format_time

_EVENTS = {ORDER: "OrderCompletedEvent", PAYMENT: "PaymentCompletedEvent", RETURN: "OrderReturnedEvent"}
_SIGNS = {ORDER: 1, CANCELLATION: 1, ADJUSTMENT: 1, RETURN: -1, REDEMPTION: -1}
_SPENDING = "CustomerSpendingUpdatedEvent"
_MOVED = {ORDER: "RewardPointsEarnedEvent", RETURN: "RewardPointsReversedEvent"}


def timeline_view(
    customer_id: str, lines: Sequence[VersionEntry], first: int, last: int, rules: RuleBook
) -> TimelineView:
    """The page of the versions from `last` down to `first`, which has an entry for each.

    lines: of these versions. A version that an earlier release made has none.
    """
    known = {line.version: line for line in lines}
    entries = tuple(_entry(version, known.get(version), rules) for version in range(last, first - 1, -1))
    return TimelineView(customer_id, entries, str(first) if first > 1 else None)


def input_of(entry: VersionEntry) -> tuple[str | None, str | None]:
    """The input's name and id: those of an event, or the command's type and id."""
    if entry.kind in _EVENTS:
        return _EVENTS[entry.kind], entry.id
    details = entry.line.details
    return details.command, details.command_id


def _entry(version: int, entry: VersionEntry | None, rules: RuleBook) -> TimelineEntryView:
    change = None if entry is None else entry.line.change
    if entry is None or change is None:
        return _unknown(version)
    line, (name, input_id) = entry.line, input_of(entry)
    return TimelineEntryView(
        version=version,
        at=format_time(change.at),
        occurred_on=format_time(line.occurred_at),
        input=name,
        input_id=input_id,
        actor=line.details.actor,
        events=_events(entry),
        points=_SIGNS.get(entry.kind, 0) * line.points,
        balance=change.balance,
        debt=change.debt,
        membership_level=change.level,
        vip=change.vip,
        amount=MoneyView(format_amount(line.amount, line.currency), line.currency) if line.currency else None,
        rules_version=line.rules_version or None,
        why=wording.why(entry, rules),
    )


def _unknown(version: int) -> TimelineEntryView:
    return TimelineEntryView(
        version=version,
        at=None,
        occurred_on=None,
        input=None,
        input_id=None,
        actor=None,
        events=(),
        points=None,
        balance=None,
        debt=None,
        membership_level=None,
        vip=None,
        amount=None,
        rules_version=None,
        why=(wording.NOT_KEPT,),
    )


def _events(entry: VersionEntry) -> tuple[str, ...]:
    details = entry.line.details
    if entry.kind not in _MOVED:
        return details.events
    found = [_SPENDING]
    if entry.line.points:
        found.append(_MOVED[entry.kind])
    if details.upgrade is not None:
        found.append("MembershipLevelUpgradedEvent")
    if details.window is not None:
        found.append("CustomerVipUpgradedEvent")
    return tuple(found)
