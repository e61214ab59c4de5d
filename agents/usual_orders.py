"""The short way of usual orders (worker.domain.usual), from their records to the rows and events of the batch.

Rules:
- It writes what `purchases.receive` writes for the same order. A test holds both equal (tests/agents/test_usual_orders.py).
- `take_run` does what `take` does, for orders that follow each other in the log and in C (worker/native/counting.h).
- Any other order changes nothing here, and `purchases.receive` handles it.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from agents.batch import Batch
from agents.purchases import MAX_AHEAD_MS, is_too_early
from agents.read_ahead import Ahead
from tables import application, day_totals, ledger
from tables.ledger import LEDGER, LEDGER_INDEX, LEDGER_VERSIONS
from worker import native
from worker.domain.ids import NAMESPACE
from worker.domain.messages import OrderCompleted
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, annual_at, leaving
from worker.domain.state import ORDER, Customer, CustomerRow, Spending
from worker.domain.usual import Counted, add_day, count_usual, next_levels
from worker.domain.values import LEVELS, MembershipLevel
from worker.engine.unit import Headers, InputRecord, Outgoing, Unit
from worker.wire.money import DIGITS
from worker.wire.usual_events import NAMES, event_texts, usual_events

Rules = tuple[int, bool, str, str, int, int, tuple[int | None, ...], int, bool]
"""A rule set, in the order in which counting.h reads it.

- Its first day, and whether its claim is stored (tables.application).
- Its version, currency, the currency's digits, and the amount of a point.
- `next_levels`, the spending of VIP, and whether the VIP window is as long as the year.
"""


def _texts(earns: bool) -> native.Texts:
    ids, events = event_texts(earns)
    return NAMESPACE.bytes, ids, (*ledger.usual_texts(earns), *events)


_TEXTS = {earns: _texts(earns) for earns in (False, True)}
"""The templates of all rows and events of a usual order, by whether it earns points."""


class Facts(NamedTuple):
    """What `take_run` needs of a batch, in the order in which counting.h reads it.

    Attributes:
        homes: as agents.routing.Routing.homes.
        rows, changed: the decoded rows of customers, and those that the batch has changed.
        lines, moments, versions: the rows of the ledger and its indexes that the batch has changed.
        fresh_moments, fresh_versions: as worker.engine.unit.Unit.fresh.
        events: the records to send.
        outgoing: makes one of key, value and headers.
        plain, earning: templates and headers of the events, for an order without points and with points.
        rules: by their first day, ascending.
        levels: by their rank.
        annual_at: as worker.domain.spending.annual_at.
        begin_day: adds the first order of a day to its day, with the customer.
        time, now: when the batch is processed, as text and in ms since 1970 UTC.
        ahead_ms: how far the order's time may be after its record's.
    """

    unit: Unit
    homes: dict[str, tuple[int, bytes]]
    rows: "OrderedDict[str, CustomerRow]"
    changed: dict[str, CustomerRow]
    lines: dict[bytes, bytes | None]
    moments: dict[bytes, bytes | None]
    versions: dict[bytes, bytes | None]
    fresh_moments: list[bytes]
    fresh_versions: list[bytes]
    events: list[Outgoing]
    outgoing: type[Outgoing]
    plain: tuple[native.Texts, tuple[Headers, ...]]
    earning: tuple[native.Texts, tuple[Headers, ...]]
    rules: tuple[Rules, ...]
    levels: tuple[MembershipLevel, ...]
    annual_at: object
    begin_day: object
    time: str
    now: int
    ahead_ms: int


def take_run(batch: Batch, records: list[InputRecord], orders: list[Ahead | None], start: int) -> int:
    """Count the usual orders that follow each other. Returns how many; 0 without the codecs in C.

    Args:
        batch: the current batch.
        records: those of a slice.
        orders: what was read ahead of each.
        start: the place of the first record.
    """
    if native.chosen is None or not isinstance(batch.facts, Facts) or batch.trace is not None:
        return 0
    looked_up = batch.unit.looked_up(LEDGER)
    taken, size = native.chosen.count_orders(batch.facts, looked_up, records, orders, start)
    batch.unit.weigh(size)
    return taken


def take(batch: Batch, source: InputRecord, order: OrderCompleted, line_key: bytes) -> bool:
    """Count the order if it is a usual one. Returns whether it is.

    Args:
        batch: the current batch.
        source: the order's record.
        order: the decoded order.
        line_key: the key of its ledger line.
    """
    routing = batch.routing
    if routing.order_index is not None or batch.trace is not None or is_too_early(source, order):
        return False
    if (source.partition, source.key) != routing.home(order.customer_id):
        return False
    row = batch.customers.row(order.customer_id)
    customer = row.customer
    if customer is None or row.waiting or row.busy or batch.unit.get(LEDGER, line_key) is not None:
        return False
    counted = count_usual(customer, order, batch.rules.on(order.occurred_at // DAY_MS), batch.now)
    if counted is None:
        return False
    publish(batch, row, customer, counted, line_key)
    if batch.facts is None and native.chosen is not None:
        batch.facts = _facts(batch)
    return True


def publish(batch: Batch, row: CustomerRow, customer: Customer, counted: Counted, line_key: bytes) -> None:
    """Write and publish what a usual order did. It is `Batch.publish` for an order that has been applied.

    Args:
        batch: the current batch.
        row: the customer's row.
        customer: the customer after the order.
        counted: what the order did.
        line_key: the key of its ledger line.
    """
    customer_id, earns = counted.customer_id, counted.points > 0
    batch.customers.changed(customer_id, row)
    if counted.new_day:
        _store_old_days(batch.unit, customer)
    batch.remember_rules(counted.rules_version)
    texts = None
    if native.chosen is not None:
        texts = native.chosen.texts(_TEXTS[earns], DIGITS[counted.currency], batch.time, counted)
    if texts is None:
        ledger.put(batch.unit, customer_id, ORDER, counted.order_id, ledger.usual_line(counted))
        events = usual_events(counted, batch.time)
    else:
        line, moment, amount, version, *values = texts
        ledger.put_usual(batch.unit, line_key, line, moment, amount, version)
        events = list(zip(NAMES[earns], values, strict=True))
    record_key = batch.routing.home(customer_id)[1]
    for name, value in events:
        batch.events.append(Outgoing(record_key, value, batch.routing.event_headers[name]))


def _store_old_days(unit: Unit, customer: Customer) -> None:
    if old_days := leaving(customer):
        day_totals.add(unit, customer.id, old_days)


def _begin_day(
    unit: Unit, customer: Customer, spending: Spending, day: int, amount: int, new_day: bool
) -> None:
    add_day(spending, day, amount)
    if new_day:
        _store_old_days(unit, customer)


def _facts(batch: Batch) -> Facts:
    """The facts of a batch in which a usual order has counted, so that all collections are there."""
    unit, headers = batch.unit, batch.routing.event_headers
    plain, earning = (
        (_TEXTS[earns], tuple(headers[name] for name in NAMES[earns])) for earns in (False, True)
    )
    rules: tuple[Rules, ...] = tuple(
        (
            each.effective_from,
            application.knows_rules(unit, each.version),
            each.version,
            each.currency,
            DIGITS[each.currency],
            each.amount_per_point,
            next_levels(each),
            each.vip_spending,
            each.vip_days == ANNUAL_DAYS,
        )
        for each in batch.rules.sets
    )
    return Facts(
        unit,
        batch.routing.homes,
        batch.customers.decoded,
        batch.customers.to_write,
        unit.changes[LEDGER],
        unit.derived[LEDGER_INDEX],
        unit.derived[LEDGER_VERSIONS],
        unit.fresh(LEDGER_INDEX),
        unit.fresh(LEDGER_VERSIONS),
        batch.events,
        Outgoing,
        plain,
        earning,
        rules,
        LEVELS,
        annual_at,
        partial(_begin_day, unit),
        batch.time,
        batch.now,
        MAX_AHEAD_MS,
    )
