"""Typed rows over a unit of work: what is put is read back, in the batch and after it."""

from typing import Any

import msgspec
import pytest

from tables import command_results, customers, email_claims, ledger, needed, order_index, waiting
from tables.command_results import FORGOTTEN, RememberedResult
from tables.customers import CustomerRows
from tables.email_claims import Claim
from tables.ledger import CustomerLedger
from tables.order_index import IndexedOrder
from tables.rows import Committed
from tables.waiting import Source
from worker.domain.days import Days
from worker.domain.state import ORDER, PAYMENT, Customer, CustomerRow, LedgerLine, Spending
from worker.domain.values import MembershipLevel
from worker.engine.partition import POSITIONS
from worker.engine.store import MemoryStore
from worker.engine.unit import Unit
from worker.wire.results import CommandResult


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def unit_of(store: MemoryStore) -> Unit:
    return Unit(0, store)


def commit(unit: Unit, store: MemoryStore) -> Committed:
    store.write({table.mark: rows for table, rows in unit.changes.items()}, {})
    return Committed(store)


def line(points: int, sequence: int) -> LedgerLine:
    return LedgerLine(points * 1_000, "USD", points, 1, "1", sequence)


def test_a_customers_row_is_shared_within_a_batch_and_written_once(store):
    unit = unit_of(store)
    rows = CustomerRows(unit)
    row = rows.row("c1")
    row.customer = Customer(id="c1", name="Ada", email="ada@example.com")
    rows.changed("c1", row)
    assert rows.row("c1") is row
    assert rows.flush() == ["c1"]
    assert customers.read(commit(unit, store), "c1") == row


def test_rows_stay_decoded_for_the_next_batches_those_longest_out_of_use_only_up_to_a_bound(store):
    kept: dict[str, Any] = {}
    rows = CustomerRows(Unit(0, store, kept))
    first = rows.row("c0")
    for number in range(8_000):
        rows.row(f"c{number}").waiting = number
        rows.changed(f"c{number}", rows.row(f"c{number}"))
    rows.flush()
    assert rows.row("c0") is first  # in a batch every input sees the same row, however many there are
    last = rows.row("c7999")
    unit = Unit(0, store, kept)
    rows = CustomerRows(unit)
    assert rows.row("c7999") is last
    assert rows.row("c0") is not first
    last.waiting = 1
    rows.changed("c7999", last)
    rows.flush()
    assert customers.read(commit(unit, store), "c7999") == last


def test_a_row_of_a_version_that_stored_days_as_an_object_is_read():
    stored = b"""{"customer":{"id":"c1","name":"Ada","email":"ada@example.com","level":"SILVER",
        "spending":{"USD":{"total":12,"annual":12,"annual_day":103,"days":{"103":7,"100":5}},"EUR":{"annual_day":103}},
        "converted":{"USD":{"total":3,"annual":3,"annual_day":103,"days":{"101":3}}}},"email_claim":"k1","waiting":2}"""
    row = customers.decode(stored)
    customer = row.customer
    assert customer is not None
    assert customer.spending["USD"] == Spending(12, 12, 103, Days(100, 103, 7, "5,3,"))
    assert customer.spending["EUR"] == Spending(annual_day=103)
    assert customer.converted["USD"].days == Days.of({101: 3})
    assert (customer.level, row.email_claim, row.waiting) == (MembershipLevel.SILVER, "k1", 2)


def test_a_row_that_no_version_stored_is_an_error():
    with pytest.raises(msgspec.ValidationError, match="waiting"):
        customers.decode(b'{"waiting":"x"}')


def test_a_row_with_nothing_in_it_is_not_kept(store):
    unit = unit_of(store)
    rows = CustomerRows(unit)
    waits = rows.row("c1")
    waits.waiting = 1
    rows.changed("c1", waits)
    rows.flush()
    committed = commit(unit, store)
    assert customers.read(committed, "c1") == CustomerRow(waiting=1)
    unit = unit_of(store)
    rows = CustomerRows(unit)
    row = rows.row("c1")
    row.waiting = 0
    rows.changed("c1", row)
    rows.flush()
    assert customers.read(commit(unit, store), "c1") is None


def test_the_ledger_lists_one_customer_whose_id_begins_like_anothers(store):
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o1", line(1, 1))
    ledger.put(unit, "c1", PAYMENT, "o1", line(0, 2))
    ledger.put(unit, "c10", ORDER, "o2", line(3, 1))
    committed = commit(unit, store)
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o3", line(4, 3))
    mine = CustomerLedger(unit, "c1")
    assert mine.line(ORDER, "o1") == line(1, 1)
    assert mine.line(ORDER, "o2") is None
    assert sorted(mine.orders()) == [("o1", line(1, 1)), ("o3", line(4, 3))]
    assert [(kind, line_id) for kind, line_id, _ in CustomerLedger(committed, "c1").lines()] == [
        (ORDER, "o1"),
        (PAYMENT, "o1"),
    ]


def test_a_remembered_result_reads_back_with_its_absent_fields_absent(store):
    unit = unit_of(store)
    remembered = RememberedResult("f", 7, CommandResult("k1", "RegisterCustomer", "c1", "APPLIED", 1))
    command_results.put(unit, remembered)
    assert command_results.read(commit(unit, store), "c1", "k1") == remembered
    assert command_results.read(Committed(store), "c1", "k2") is None


def test_a_claim_ends_when_it_is_set_to_none(store):
    unit = unit_of(store)
    email_claims.put(unit, "h", Claim("c1", "k1"))
    assert email_claims.read(commit(unit, store), "h") == Claim("c1", "k1")
    unit = unit_of(store)
    email_claims.put(unit, "h", None)
    assert email_claims.read(unit, "h") is None
    assert email_claims.read(commit(unit, store), "h") is None


@pytest.mark.parametrize("key", [b"\xff\x00", b"", None])
def test_a_waiting_input_comes_back_byte_for_byte(store, key):
    source = Source("order.completed", 3, 9, 1_700_000_000_000, key, b"\x00\xff{", (("h", b"\xfe"),))
    unit = unit_of(store)
    waiting.put(unit, "c1", waiting.ORDER, "o1", source)
    committed = commit(unit, store)
    assert waiting.read(committed, "c1", waiting.ORDER, "o1") == source
    assert list(waiting.scan(committed, "c1", waiting.ORDER)) == [("o1", source)]
    assert list(waiting.scan(committed, "c1", waiting.COMMAND)) == []


def test_an_order_that_nobody_knows_is_an_empty_row_and_an_empty_row_is_not_kept(store):
    unit = unit_of(store)
    assert order_index.read(unit, "o1") == IndexedOrder()
    order_index.put(unit, "o1", IndexedOrder(waiting=2))
    order_index.put(unit, "o2", IndexedOrder("c1"))
    committed = commit(unit, store)
    assert order_index.read(committed, "o1") == IndexedOrder(waiting=2)
    assert order_index.read(committed, "o2") == IndexedOrder("c1")
    unit = unit_of(store)
    order_index.put(unit, "o1", IndexedOrder())
    commit(unit, store)
    assert [key for key, _ in store.scan(order_index.ORDER_INDEX.mark)] == [b"o2"]


def test_what_waits_for_an_order_is_not_what_waits_for_a_customer_with_the_same_id(store):
    of_customer = Source("payment.completed", 0, 1, 7, b"x", b"{}", ())
    of_order = Source("payment.completed", 0, 2, 7, b"x", b"{}", ())
    unit = unit_of(store)
    waiting.put(unit, "x", waiting.PAYMENT, "p1", of_customer)
    waiting.put(unit, waiting.of_order("x"), waiting.PAYMENT, "p1", of_order)
    committed = commit(unit, store)
    assert list(waiting.scan(committed, "x", waiting.PAYMENT)) == [("p1", of_customer)]
    assert list(waiting.scan(committed, waiting.of_order("x"), waiting.PAYMENT)) == [("p1", of_order)]


def test_each_table_has_a_name_and_a_mark_of_its_own_and_the_index_is_there_only_with_the_payment_join():
    tables = (*needed(payment_join=True), POSITIONS)
    assert len({table.name for table in tables}) == len({table.mark for table in tables}) == len(tables)
    assert set(needed(payment_join=True)) - set(needed(payment_join=False)) == {order_index.ORDER_INDEX}


def test_forgetting_what_a_customers_commands_said_leaves_their_results_and_other_customers_alone(store):
    result = CommandResult("k1", "RegisterCustomer", "c1", "APPLIED", 1)
    other = CommandResult("k1", "RegisterCustomer", "c10", "APPLIED", 1)
    unit = unit_of(store)
    for each in (result, other):
        command_results.put(unit, RememberedResult("f", 7, each))
    commit(unit, store)
    unit = unit_of(store)
    late = CommandResult("k2", "UpdateProfile", "c1", "APPLIED", 2)
    command_results.put(unit, RememberedResult("g", 8, late))
    command_results.forget(unit, "c1")
    committed = commit(unit, store)
    assert command_results.read(committed, "c1", "k1") == RememberedResult(FORGOTTEN, 7, result)
    assert command_results.read(committed, "c1", "k2") == RememberedResult(FORGOTTEN, 8, late)
    assert command_results.read(committed, "c10", "k1") == RememberedResult("f", 7, other)


def test_a_forgotten_command_is_known_again_by_its_type_alone():
    result = CommandResult("k1", "RegisterCustomer", "c1", "APPLIED", 1)
    kept, forgotten = RememberedResult("f", 7, result), RememberedResult(FORGOTTEN, 7, result)
    assert kept.answers("RegisterCustomer", "f")
    assert not kept.answers("RegisterCustomer", "g")
    assert forgotten.answers("RegisterCustomer", "g")
    assert not forgotten.answers("UpdateProfile", "f")
