"""The sentences that explain a customer to somebody who looks after customers: the rule, the figures, the result.

Rules:
- Every sentence of the timeline and of the explanation comes from here.
- A sentence names ids, figures and fields. It never says a name, an email, an address or the text of a reason.
- Where the rules file no longer has the set that counted, its figures are left out and its version stays.
"""

from collections.abc import Callable

from worker.domain.changes import Change, Details, FullWindow, Upgrade
from worker.domain.decide.addresses import MAX_ADDRESSES
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.standing import NextLevel, VipWindow
from worker.domain.state import (
    ADJUSTMENT,
    CANCELLATION,
    ORDER,
    PAYMENT,
    REDEMPTION,
    RETURN,
    Customer,
    LedgerLine,
    VersionEntry,
)
from worker.domain.values import MembershipLevel
from worker.wire.money import format_amount
from worker.wire.times import format_day, format_time

NOT_KEPT = "An earlier release of the worker applied this input, and did not keep what it did."

Sentences = tuple[str, ...]


def why(entry: VersionEntry, rules: RuleBook) -> Sentences:
    """Why the input of an entry changed the customer as it did."""
    line = entry.line
    if line.change is None:
        return (NOT_KEPT,)
    details = line.details
    said = _BY_KIND.get(entry.kind, _command)(entry, line, details, rules)
    return (*said, *_reached(details, rules), *_left(entry.kind, line.points, line.change))


def money(minor: int, currency: str) -> str:
    """An amount as text, such as 129.90 USD."""
    return f"{format_amount(minor, currency)} {currency}"


def points(number: int) -> str:
    """A number of points as text."""
    return f"{number} point{'' if number == 1 else 's'}"


def _order(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    worth, by = money(line.amount, line.currency), rules.named(line.rules_version)
    earned = "no points" if line.points == 0 else points(line.points)
    if by is None:
        return (f"{worth} earn {earned}, rules {line.rules_version}.",)
    counted = by.counted(line.amount, line.currency)
    if counted is None:
        return (
            f"{worth} earn no points and count towards no level: rules {by.version} have no rate for it.",
        )
    converted = "" if line.currency == by.currency else f" count as {money(counted, by.currency)} and"
    return (f"{worth}{converted} earn {earned}: {_rate(by)}.",)


def _rate(by: RuleSet) -> str:
    return f"1 for each whole {money(by.amount_per_point, by.currency)}, rules {by.version}"


def _return(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    went = f"{money(line.amount, line.currency)} of order {line.order_id} went back"
    by = rules.named(line.rules_version)
    rest = f"rules {line.rules_version}" if by is None else f"what is left of it earns {_rate(by)}"
    taken = (
        "no points are"
        if line.points == 0
        else f"{points(line.points)} {'is' if line.points == 1 else 'are'}"
    )
    return (
        f"{went}, and {taken} taken back: {rest}.",
        "Level and VIP stay, because they count orders in full.",
    )


def _payment(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    return (f"{money(line.amount, line.currency)} were paid. Payments change no points, spending or level.",)


def _redemption(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    of_order = "" if line.order_id is None else f" for order {line.order_id}"
    return (f"{points(line.points)} redeemed{of_order}, redemption {entry.id}.",)


def _cancellation(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    return (f"Redemption {entry.id} was cancelled, and all of its {points(line.points)} came back.",)


def _adjustment(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    done = "added" if line.points > 0 else "taken away"
    return (f"{points(abs(line.points))} {done} by hand, adjustment {entry.id}.",)


def _command(entry: VersionEntry, line: LedgerLine, details: Details, rules: RuleBook) -> Sentences:
    fields = ", ".join(details.fields)
    match details.command:
        case "RegisterCustomer":
            address = " An address came with the registration." if details.addresses else ""
            return (f"The customer was registered, with level STANDARD.{address}",)
        case "UpdateProfile":
            return (f"The profile changed: {fields}.",)
        case "UpdatePreferences":
            return (f"The preferences changed: {fields}.",)
        case "ChangeStatus":
            return (f"The status changed from {details.before} to {details.after}.",)
        case "AddDeliveryAddress":
            return (f"An address was added: {details.addresses} of at most {MAX_ADDRESSES}.",)
        case "RemoveDeliveryAddress":
            return (f"An address was removed: {details.addresses} of at most {MAX_ADDRESSES} left.",)
        case "SetDefaultDeliveryAddress":
            return ("Another address became the default.",)
        case "AddPaymentMethod":
            return ("A payment method was added.",)
        case "RemovePaymentMethod":
            return ("A payment method was removed.",)
        case "UpgradeMembership":
            return ("The level was raised by hand.",)
        case _:
            return (f"The command {details.command} was applied.",)


_BY_KIND: dict[str, Callable[[VersionEntry, LedgerLine, Details, RuleBook], Sentences]] = {
    ORDER: _order,
    RETURN: _return,
    PAYMENT: _payment,
    REDEMPTION: _redemption,
    CANCELLATION: _cancellation,
    ADJUSTMENT: _adjustment,
}


def _reached(details: Details, rules: RuleBook) -> Sentences:
    said = []
    if details.upgrade is not None:
        said.append(_level(details.upgrade, rules, by_hand=details.command is not None))
    if details.window is not None:
        said.append(_vip(details.window, rules))
    if details.vip_since is not None:
        said.append(
            f"A late order fills an earlier window, so VIP now counts from {format_time(details.vip_since)}."
        )
    return tuple(said)


def _level(upgrade: Upgrade, rules: RuleBook, *, by_hand: bool) -> str:
    spent = money(upgrade.total, upgrade.currency)
    if by_hand:
        return f"{upgrade.old} became {upgrade.new}, with a lifetime spending of {spent}, rules {upgrade.rules_version}."
    least = threshold_of(rules.named(upgrade.rules_version), upgrade.new)
    needed = "" if least is None else f", which needs {money(least, upgrade.currency)}"
    return f"Lifetime spending of {spent} makes {upgrade.old} {upgrade.new}{needed}, rules {upgrade.rules_version}."


def threshold_of(by: RuleSet | None, level: MembershipLevel) -> int | None:
    """The lifetime spending that the level needs, in minor units; None if the rules do not say."""
    return None if by is None else next((least for least, reached in by.levels if reached is level), None)


def _vip(window: FullWindow, rules: RuleBook) -> str:
    by = rules.named(window.rules_version)
    spent = (
        f"{money(window.spent, window.currency)} from {format_day(window.start)} to {format_day(window.end)}"
    )
    needed = (
        "" if by is None else f", which needs {money(by.vip_spending, by.currency)} in {by.vip_days} days"
    )
    return f"{spent} make the PLATINUM customer VIP{needed}, rules {window.rules_version}."


def _left(kind: str, moved: int, change: Change) -> Sentences:
    """The result for the points; nothing where none moved. Balance and debt are never both above 0."""
    if moved == 0:
        return ()
    earned = kind in (ORDER, CANCELLATION) or (kind == ADJUSTMENT and moved > 0)
    paid = moved - change.balance if earned else 0
    if paid > 0:
        of_them = "All of them pay" if paid == moved else f"{paid} of them pay"
        return (f"{of_them} debt: the balance is now {change.balance}, the debt {change.debt}.",)
    if change.debt:
        return (f"The balance does not cover them: it is now {change.balance}, and the debt {change.debt}.",)
    return (f"The balance is now {points(change.balance)}.",)


def level(
    customer: Customer, reached_on: int | None, given: VersionEntry | None, following: NextLevel | None
) -> Sentences:
    """Why the customer has the level, and what the next one needs.

    Args:
        customer: the customer.
        reached_on: when the input that gave the level occurred, ms since 1970 UTC; None if no line says it.
        given: the entry of that input; None if no line says it.
        following: the next level; None after the highest.
    """
    if reached_on is None:
        first = f"Level {customer.level}. An earlier release gave it, and did not keep by which input."
    else:
        by = "" if given is None else f", by {_input(given)}"
        first = f"Level {customer.level} since {format_time(reached_on)}{by}."
    if following is None:
        return (first, f"{customer.level} is the highest level.")
    currency, version = following.rules.currency, following.rules.version
    return (
        first,
        (
            f"{following.level} needs {money(following.needed, currency)} of lifetime spending: "
            f"{money(following.spent, currency)} were spent, {money(following.missing, currency)} are missing, "
            f"rules {version}."
        ),
    )


def _input(entry: VersionEntry) -> str:
    """The input of an entry that gave a level, in words."""
    if entry.kind == ORDER:
        return f"order {entry.id}"
    details = entry.line.details
    if details.command == "RegisterCustomer":
        return "the registration"
    return (
        "an input of an earlier release"
        if details.command is None
        else f"{details.command} {details.command_id}"
    )


def vip(customer: Customer, window: VipWindow | None, by: RuleSet) -> Sentences:
    """Why the customer is VIP, or what is missing. by: the rules that count."""
    needed = f"{money(by.vip_spending, by.currency)} within {by.vip_days} days, rules {by.version}"
    if window is None:
        return (f"VIP needs PLATINUM and {needed}. No order counts towards it so far.",)
    days = f"from {format_day(window.start)} to {format_day(window.end)}"
    spent = money(window.spent, by.currency)
    if customer.vip_since is not None:
        since = format_time(customer.vip_since)
        return (f"VIP since {since}: {spent} were spent {days}. VIP needs PLATINUM and {needed}.",)
    if window.missing == 0:
        return (f"VIP needs PLATINUM and {needed}. {spent} were spent {days}; only PLATINUM is missing.",)
    missing = money(window.missing, by.currency)
    return (f"VIP needs PLATINUM and {needed}. The best days, {days}, have {spent}: {missing} are missing.",)


def balance(customer: Customer) -> Sentences:
    """How the balance came about."""
    sums = (
        f"{customer.lifetime_earned} earned, {customer.lifetime_reversed} taken back by returns, "
        f"{customer.lifetime_redeemed} redeemed, {customer.lifetime_restored} restored by cancellations, "
        f"{customer.lifetime_adjusted} adjusted by hand"
    )
    first = f"The balance is {points(customer.points)}: {sums}."
    if not customer.debt:
        return (first,)
    return (first, f"The debt is {points(customer.debt)}. Points that come in pay it first.")
