"""After a replay: nothing is left over. Every input had its effect once, and every row has its input."""

from collections import Counter
from collections.abc import Iterator, Sequence

from worker.verify import erasure, expiry, returns, rows
from worker.verify.deliveries import Delivery, Expected
from worker.verify.inputs import Purchase
from worker.verify.replay import Replay
from worker.verify.steps import by_id
from worker.verify.traces import source_of

MAX_WAITING = 1_000


def check(replay: Replay) -> list[Expected]:
    """Note what is left over; returns the dead letters that this customer's inputs must have led to."""
    _check_answers(replay)
    _check_row(replay)
    _check_ledger(replay)
    _check_waiting(replay)
    _check_order_of_waiting(replay)
    return [
        *_purchases(replay),
        *returns.check(replay),
        *_limited(replay),
        *expiry.check(replay),
        *erasure.check(replay),
    ]


def _check_answers(replay: Replay) -> None:
    """Every delivery of a command has one result, unless it waits for an email claim."""
    traces = replay.traces
    answers = Counter(str(result.get("commandId")) for result in traces.results)
    pending = traces.pending_command.get("command_id")
    queued = {source_of(each) for (kind, _), each in traces.waiting.items() if kind == "C"}
    for command_id, deliveries in replay.commands_by_id.items():
        due = sum(each.due and each.position not in queued for each in deliveries)
        due -= bool(due and command_id == pending)
        most = due if traces.still else len(deliveries)
        if not due <= answers[command_id] <= most:
            replay.causes_missing = True  # unless a topic is past its retention, this is a difference
            replay.differs(
                "result", f"command {command_id}: {answers[command_id]} results for {due} deliveries"
            )
    for result in traces.results:
        if (result.get("code") == "VALIDATION_FAILED") != bool(result.get("errors")):
            replay.differs("result", f"command {result.get('commandId')}: errors")
    for command_id, remembered in traces.remembered.items():
        first = replay.first_results.get(command_id)
        if (first is not None or traces.still) and remembered.get("result") != first:
            replay.differs("remembered result", f"command {command_id}")


def _check_row(replay: Replay) -> None:
    customer, traces = replay.customer, replay.traces
    if customer is None:
        if traces.row.get("customer"):
            replay.differs("customers table", "holds a customer who was never registered")
    elif not traces.row.get("customer"):
        if traces.still:
            replay.differs("customers table", "the customer is missing")
    elif traces.row_version > customer.version or (traces.still and traces.row_version != customer.version):
        replay.differs("customers table", f"version {traces.row_version}, not {customer.version}")
    elif not replay.row_seen:
        replay.differs("customers table", f"no input led to version {traces.row_version}")


def _check_ledger(replay: Replay) -> None:
    expected = rows.ledger_lines(replay.customer, replay.sequences) if replay.customer else {}
    for (kind, line_id), line in replay.traces.ledger.items():
        if (kind, line_id) in expected:
            wrong = rows.differing_line_fields(line, expected[kind, line_id])
            if (
                not replay.traces.still
            ):  # the ledger is read last, and may know of returns that the events did not have
                wrong = [field for field in wrong if field != "returned"]
            if wrong:
                replay.differs("ledger", f"{kind} {line_id}: {', '.join(wrong)}")
        elif kind != "P" and replay.traces.still:  # a payment without its input was told already
            replay.differs("ledger", f"{kind} {line_id}: nothing caused it")
    for kind, line_id in sorted(expected.keys() - replay.traces.ledger.keys()):
        replay.differs("ledger", f"{kind} {line_id}: missing")


def _purchases(replay: Replay) -> Iterator[Expected]:
    """Each order and payment counted once, or waits; another amount of it is a dead letter."""
    for kind, all_of_kind in (("O", replay.told.orders), ("P", replay.told.payments)):
        for purchase_id, deliveries in by_id(all_of_kind).items():
            yield from _purchase(replay, kind, purchase_id, deliveries)


def _purchase(
    replay: Replay, kind: str, purchase_id: str, all_of_it: Sequence[Delivery[Purchase]]
) -> Iterator[Expected]:
    name, conflict = ("order", "ORDER_CONFLICT") if kind == "O" else ("payment", "PAYMENT_CONFLICT")
    deliveries = [each for each in all_of_it if replay.traces.may_count(each.position)]
    winner = replay.winners.get((kind, purchase_id)) or _waiting(replay, kind, purchase_id, deliveries)
    lost = []
    for each in deliveries:
        before = [*expiry.hiding(replay, each, all_of_it), *((winner,) if winner else ())]
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
        state = "neither counted nor waits" if replay.customer is None else "did not count"
        replay.differs("input", f"{name} {purchase_id} at {lost[0].position} {state}")
    if winner is None and not replay.traces.still:
        # One may wait or count beyond what was read, and the others conflict with it.
        yield from (Expected(each.source, frozenset((conflict,)), due=False) for each in deliveries)


def _waiting(
    replay: Replay, kind: str, purchase_id: str, deliveries: Sequence[Delivery[Purchase]]
) -> Delivery[Purchase] | None:
    """The delivery that waits."""
    row = replay.traces.waiting.get((kind, purchase_id))
    if row is None or source_of(row) in replay.traces.expired:
        return None
    found = next((each for each in deliveries if each.position == source_of(row)), None)
    if found is None:
        name = "order" if kind == "O" else "payment"
        replay.causes_missing = True
        replay.differs("waiting", f"{name} {purchase_id} was never given")
    return found


def _limited(replay: Replay) -> Iterator[Expected]:
    """Whether the limit was reached can only be said roughly: there must have been enough others."""
    purchases = replay.told.purchases
    limited = [each for each in purchases if each.position in replay.traces.limited]
    enough = len(purchases) - len(limited) >= MAX_WAITING
    for each in limited:
        yield Expected(each.source, frozenset(("WAITING_LIMIT",) if enough else ()), each.due)


def _check_waiting(replay: Replay) -> None:
    traces = replay.traces
    if not traces.still:
        return
    commands = sum(kind == "C" for kind, _ in traces.waiting)
    purchases = len(traces.waiting) - commands
    if purchases > MAX_WAITING:
        replay.differs("waiting", f"{purchases} inputs wait, at most {MAX_WAITING} may")
    returns_ = sum(kind == "T" for kind, _ in traces.waiting)
    if replay.customer is not None and purchases > returns_:
        replay.differs("waiting", f"{purchases - returns_} inputs of a registered customer still wait")
    if commands and not traces.pending_command:
        replay.differs("waiting", f"{commands} commands wait for no claim")
    for field, count in (("waiting", purchases), ("queued", commands)):
        if traces.row.get(field, 0) != count:
            replay.differs("customers table", field)


def _check_order_of_waiting(replay: Replay) -> None:
    """At the registration by occurredOn, later as they came: some place in the list of orders parts the two."""
    orders = [
        order
        for order in replay.applied_orders
        if replay.traces.came_in_order(replay.orders_by_id[order.fact.id])
    ]
    by_time = [(each.fact.occurred_at, each.position) for each in orders]
    came = [each.position.offset for each in orders]
    sorted_until = next((n for n in range(1, len(orders)) if by_time[n] < by_time[n - 1]), len(orders))
    rising_from = next((n for n in range(len(orders) - 1, 0, -1) if came[n] < came[n - 1]), 0)
    for place in range(rising_from, sorted_until + 1):
        before, after = came[:place], came[place:]
        if not before or not after or max(before) < min(after):
            return
    replay.differs("order of application", "neither by occurredOn at the registration nor as they came")
