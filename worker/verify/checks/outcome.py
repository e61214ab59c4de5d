"""After a replay: every input had its effect exactly once, and every row comes from an input."""

from collections import Counter
from collections.abc import Iterator, Sequence

from worker.verify.checks import changes, erasure, expiry, returns, rows
from worker.verify.checks.account import Account, by_id
from worker.verify.checks.traces import CLAIMS, FORGETS, source_of
from worker.verify.reading.deliveries import Delivery, Expected
from worker.verify.reading.inputs import Purchase

MAX_WAITING = 1_000


def check(account: Account) -> list[Expected]:
    """Report differences, and return the dead letters that this customer's inputs must or may have."""
    _check_answers(account)
    _check_row(account)
    _check_ledger(account)
    _check_waiting(account)
    _check_order_of_waiting(account)
    return [
        *_purchases(account),
        *returns.check(account),
        *_limited(account),
        *expiry.check(account),
        *erasure.check(account),
    ]


def _check_answers(account: Account) -> None:
    """Check that every delivery of a command has one result, unless it waits for an email claim."""
    traces = account.traces
    answers = Counter(str(result.get("commandId")) for result in traces.results)
    claiming = traces.claiming_command.get("command_id")
    queued = traces.queued
    for command_id, deliveries in account.commands_by_id.items():
        due = sum(each.due and each.position not in queued for each in deliveries)
        due -= bool(due and command_id == claiming)
        most = due if traces.still else len(deliveries)
        if not due <= answers[command_id] <= most:
            account.causes_missing = True  # unless a topic is past its retention, this is a difference
            account.differs(
                "result", f"command {command_id}: {answers[command_id]} results for {due} deliveries"
            )
    for result in traces.results:
        if (result.get("code") == "VALIDATION_FAILED") != bool(result.get("errors")):
            account.differs("result", f"command {result.get('commandId')}: errors")
    for command_id, remembered in traces.remembered.items():
        first = account.first_results.get(command_id)
        if (first is not None or traces.still) and remembered.get("result") != first:
            account.differs("remembered result", f"command {command_id}")


def _check_row(account: Account) -> None:
    customer, traces = account.customer, account.traces
    if customer is None:
        if traces.row.get("customer"):
            account.differs("customers table", "holds a customer who was never registered")
    elif not traces.row.get("customer"):
        if traces.still:
            account.differs("customers table", "the customer is missing")
    elif traces.row_version > customer.version or (traces.still and traces.row_version != customer.version):
        account.differs("customers table", f"version {traces.row_version}, not {customer.version}")
    elif not account.row_seen:
        account.differs("customers table", f"no input led to version {traces.row_version}")
    elif traces.still and rows.differing_old_days(traces.row, customer, traces.old_days):
        account.differs("day totals", "differ from the days that the customer's row no longer keeps")


def _check_ledger(account: Account) -> None:
    ledger, customer = account.traces.ledger, account.customer
    first = changes.every_version_from(ledger)
    expected = rows.ledger_lines(customer, account.sequences, account.others) if customer else {}
    for (kind, line_id), line in ledger.items():
        if (kind, line_id) in expected:
            wrong = rows.differing_line_fields(line, expected[kind, line_id])
            if not account.traces.still:  # the ledger is read after the events, and may contain newer returns
                wrong = [field for field in wrong if field != "returned"]
            if account.traces.still or kind != "P":  # else the order of payments is not known
                wrong += changes.differing(line, account.changes[kind, line_id])
            if wrong:
                account.differs("ledger", f"{kind} {line_id}: {', '.join(wrong)}")
        elif kind != "P" and account.traces.still:  # a payment line without its input is reported already
            account.differs("ledger", f"{kind} {line_id}: nothing caused it")
    for kind, line_id in sorted(expected.keys() - ledger.keys()):
        if kind != "K" or (first is not None and int(line_id) >= first):
            account.differs("ledger", f"{kind} {line_id}: missing")
    if customer is not None and account.traces.still:
        for gap in changes.gaps(ledger, customer.version):
            account.differs("ledger", gap)


def _purchases(account: Account) -> Iterator[Expected]:
    """Check that each order and payment counted once or waits. Deliveries with another amount are dead letters."""
    for kind, all_of_kind in (("O", account.told.orders), ("P", account.told.payments)):
        for purchase_id, deliveries in by_id(all_of_kind).items():
            yield from _purchase(account, kind, purchase_id, deliveries)


def _purchase(
    account: Account, kind: str, purchase_id: str, all_of_it: Sequence[Delivery[Purchase]]
) -> Iterator[Expected]:
    name, conflict = ("order", "ORDER_CONFLICT") if kind == "O" else ("payment", "PAYMENT_CONFLICT")
    deliveries = [each for each in all_of_it if account.traces.may_count(each.position)]
    winner = account.winners.get((kind, purchase_id)) or _waiting(account, kind, purchase_id, deliveries)
    lost = []
    for each in deliveries:
        before = [*expiry.hiding(account, each, all_of_it), *((winner,) if winner else ())]
        conflicts = [each.fact.worth != other.fact.worth for other in before if other is not each]
        counted = each is winner and not any(
            other.fact == each.fact for other in deliveries if other is not each
        )
        if any(conflicts) and not counted:
            due = each.due and all(conflicts) and each is not winner
            yield Expected(each.source, frozenset((conflict,)), due)
        if not before and each.due:
            lost.append(each)
    if lost:
        state = "neither counted nor waits" if account.customer is None else "did not count"
        account.differs("input", f"{name} {purchase_id} at {lost[0].position} {state}")
    if winner is None and not account.traces.still:
        # One may have counted or begun to wait after the snapshot, and the others may conflict with it.
        yield from (Expected(each.source, frozenset((conflict,)), due=False) for each in deliveries)


def _waiting(
    account: Account, kind: str, purchase_id: str, deliveries: Sequence[Delivery[Purchase]]
) -> Delivery[Purchase] | None:
    """The delivery that waits; None when none does. Reports a waiting row without its delivery."""
    row = account.traces.waiting.get((kind, purchase_id))
    if row is None or source_of(row) in account.traces.expired:
        return None
    found = next((each for each in deliveries if each.position == source_of(row)), None)
    if found is None:
        name = "order" if kind == "O" else "payment"
        account.causes_missing = True
        account.differs("waiting", f"{name} {purchase_id} is on no input topic")
    return found


def _limited(account: Account) -> Iterator[Expected]:
    """Yield the dead letters of the waiting limit. The exact count is unknown: enough other inputs must exist."""
    purchases = account.told.purchases
    limited = [each for each in purchases if each.position in account.traces.limited]
    enough = len(purchases) - len(limited) >= MAX_WAITING
    for each in limited:
        yield Expected(each.source, frozenset(("WAITING_LIMIT",) if enough else ()), each.due)


def _check_waiting(account: Account) -> None:
    traces = account.traces
    if not traces.still:
        return
    commands = sum(kind == "C" for kind, _ in traces.waiting)
    purchases = len(traces.waiting) - commands
    if purchases > MAX_WAITING:
        account.differs("waiting", f"{purchases} inputs wait, at most {MAX_WAITING} may")
    returns_ = sum(kind == "T" for kind, _ in traces.waiting)
    if account.customer is not None and purchases > returns_:
        account.differs("waiting", f"{purchases - returns_} inputs of a registered customer still wait")
    if commands and not traces.claiming_command:
        account.differs("waiting", f"{commands} commands wait for no claim")
    if CLAIMS in traces.marks and not traces.claiming_command:
        account.differs("waiting", "a command that no longer claims an email is still kept")
    if FORGETS in traces.marks and traces.row.get("forgetting") is None:
        account.differs("waiting", "the mark of a finished erasure is still kept")
    for field, count in (("waiting", purchases), ("queued", commands)):
        if traces.row.get(field, 0) != count:
            account.differs("customers table", field)


def _check_order_of_waiting(account: Account) -> None:
    """Check the order of application: by occurredOn for orders that waited for the registration, then by offset.

    So some place in the list of orders must separate the two parts.
    """
    orders = [
        order
        for order in account.applied_orders
        if account.traces.came_in_order(account.orders_by_id[order.fact.id])
    ]
    by_time = [(each.fact.occurred_at, each.position) for each in orders]
    came = [each.position.offset for each in orders]
    sorted_until = next((n for n in range(1, len(orders)) if by_time[n] < by_time[n - 1]), len(orders))
    rising_from = next((n for n in range(len(orders) - 1, 0, -1) if came[n] < came[n - 1]), 0)
    for split in range(rising_from, sorted_until + 1):
        before, after = came[:split], came[split:]
        if not before or not after or max(before) < min(after):
            return
    account.differs("order of application", "neither by occurredOn (at the registration) nor in log order")
