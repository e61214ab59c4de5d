"""Typed rows over a unit of work: what is put is read back, in the batch and after it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from tables import command_results, customers, email_claims, ledger, needed, order_index, waiting
from tables.command_results import FORGOTTEN, RememberedResult
from tables.customers import CustomerRows
from tables.email_claims import Claim
from tables.ledger import LEDGER, LEDGER_INDEX, CustomerLedger
from tables.order_index import IndexedOrder
from tables.rows import Committed
from worker.domain.changes import Change, Details, Upgrade
from worker.domain.days import Days
from worker.domain.state import ORDER, PAYMENT, Customer, CustomerRow, HistoryKey, LedgerLine, Spending
from worker.domain.values import MembershipLevel
from worker.engine.isolation import ISOLATION
from worker.engine.store import MemoryStore
from worker.engine.unit import POSITIONS, InputRecord, Table, Unit
from worker.wire.results import CommandResult


class Counting:
    """Rows that count how many of an index were read, and how many were looked up."""

    def __init__(self, rows: Committed) -> None:
        self._rows = rows
        self.read = self.looked_up = 0
        self.scan = rows.scan

    def get(self, table: Table, key: bytes) -> bytes | None:
        self.looked_up += 1
        return self._rows.get(table, key)

    def before(self, index: Table, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        for row in self._rows.before(index, prefix, end):
            self.read += 1
            yield row


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def unit_of(store: MemoryStore) -> Unit:
    return Unit(0, store)


def commit(unit: Unit, store: MemoryStore) -> Committed:
    store.write(unit.rows_to_write(), {})
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
    carried: dict[str, Any] = {}
    rows = CustomerRows(Unit(0, store, carried))
    first = rows.row("c0")
    for number in range(8_000):
        rows.row(f"c{number}").waiting = number
        rows.changed(f"c{number}", rows.row(f"c{number}"))
    rows.flush()
    assert rows.row("c0") is first  # in a batch every input sees the same row, however many there are
    last = rows.row("c7999")
    unit = Unit(0, store, carried)
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
    assert [amount for _, amount, _ in mine.orders_before(2, 0)] == [4_000, 1_000]
    assert [line_id for _, line_id, _ in CustomerLedger(committed, "c1").newest(9)] == ["o1"]


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


def test_a_waiting_input_of_an_earlier_version_is_read():
    old = b'{"topic":"t","partition":1,"offset":2,"timestamp":3,"key":"aw==","value":"e30=","headers":[["h","MQ=="]]}'
    assert waiting.decode(old) == InputRecord("t", 1, 2, 3, b"k", b"{}", (("h", b"1"),))
    assert waiting.timestamp(old) == 3


@pytest.mark.parametrize("key", [b"\xff\x00", b"", None])
def test_a_waiting_input_comes_back_byte_for_byte(store, key):
    source = InputRecord(
        "order.completed", 3, 9, 1_700_000_000_000, key, b"\x00\xff{", (("h", b"\xfe"), ("\udcff", None))
    )
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
    of_customer = InputRecord("payment.completed", 0, 1, 7, b"x", b"{}", ())
    of_order = InputRecord("payment.completed", 0, 2, 7, b"x", b"{}", ())
    unit = unit_of(store)
    waiting.put(unit, "x", waiting.PAYMENT, "p1", of_customer)
    waiting.put(unit, waiting.of_order("x"), waiting.PAYMENT, "p1", of_order)
    committed = commit(unit, store)
    assert list(waiting.scan(committed, "x", waiting.PAYMENT)) == [("p1", of_customer)]
    assert list(waiting.scan(committed, waiting.of_order("x"), waiting.PAYMENT)) == [("p1", of_order)]


def test_each_table_has_a_name_and_a_mark_of_its_own_and_the_index_is_there_only_with_the_payment_join():
    tables = (*needed(payment_join=True), POSITIONS, ISOLATION)
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
    assert command_results.forget(unit, "c1", "", 10) is None
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


def kept(occurred_at: int, points: int, sequence: int, amount: int = 500, version: str = "1") -> LedgerLine:
    return LedgerLine(amount, "USD", points, occurred_at, version, sequence)


def test_the_points_history_is_newest_first_by_time_and_then_by_when_it_counted(store):
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o1", kept(at := 1_795_500_000_000, 5, 1))
    ledger.put(unit, "c1", ORDER, "o2", kept(-2_208_988_800_000, 5, 20))  # 1900
    ledger.put(unit, "c1", "R", "r1", LedgerLine(0, "", 3, at, "", 7, "o1"))
    ledger.put(unit, "c1", ORDER, "o3", kept(at, 0, 8))
    ledger.put(unit, "c1", PAYMENT, "p1", kept(at, 0, 9))
    ledger.put(unit, "c10", ORDER, "o9", kept(at, 9, 9))
    committed = CustomerLedger(commit(unit, store), "c1")
    assert [line_id for _, line_id, _ in committed.newest(20)] == ["r1", "o1", "o2"]
    assert committed.newest(1) == [("R", "r1", LedgerLine(0, "", 3, at, "", 7, "o1"))]
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o4", kept(at + 1, 1, 30))
    ledger.put(unit, "c1", ORDER, "o1", kept(at, 5, 1))  # as a return writes it again
    assert [line_id for _, line_id, _ in CustomerLedger(unit, "c1").newest(20)] == ["o4", "r1", "o1", "o2"]


@settings(max_examples=60, deadline=None)
@given(some.lists(some.tuples(some.integers(-3, 3), some.integers(0, 2)), max_size=30), some.integers(1, 7))
def test_all_pages_of_the_points_history_are_each_line_that_moved_points_once(facts, limit):
    store = MemoryStore()
    unit = unit_of(store)
    for n, (at, points) in enumerate(facts):
        ledger.put(unit, "c1", ORDER, f"o{n}", kept(at, points, n + 1))
        if n % 10 == 5:
            commit(unit, store)
            unit = unit_of(store)
    mine, found, before = CustomerLedger(unit, "c1"), [], None
    while page := mine.newest(limit, before):
        found += page
        before = HistoryKey.of(page[-1][2])
    keys = sorted(((at, n + 1) for n, (at, points) in enumerate(facts) if points), reverse=True)
    assert [HistoryKey.of(line) for _, _, line in found] == keys


def test_a_page_of_the_points_history_reads_its_own_lines_alone(store):
    unit = unit_of(store)
    for n in range(1, 500):
        ledger.put(unit, "c1", ORDER, f"o{n}", kept(n, 1, n))
    rows = Counting(commit(unit, store))
    for before in (None, HistoryKey(400, 400), HistoryKey(3, 3)):
        CustomerLedger(rows, "c1").newest(10, before)
    assert rows.read == 10 + 10 + 2


def test_the_orders_before_a_time_come_one_after_the_other_the_latest_first(store):
    unit = unit_of(store)
    for n, (points, version) in enumerate([(1, "1"), (0, '1,"x"]'), (2, "\\"), (0, "1")]):
        ledger.put(unit, "c1", ORDER, f"o{n}", kept(n, points, n, amount=n, version=version))
    ledger.put(unit, "c1", "R", "r1", LedgerLine(0, "", 3, 2, "", 7, "o1"))
    rows = commit(unit, store)
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o9", kept(2, 1, 9, amount=9))
    assert list(CustomerLedger(rows, "c1").orders_before(3, 1)) == [(2, 2, "USD"), (1, 1, "USD")]
    assert list(CustomerLedger(unit, "c1").orders_before(3, 1)) == [
        (2, 9, "USD"),
        (2, 2, "USD"),
        (1, 1, "USD"),
    ]
    assert list(CustomerLedger(unit, "c2").orders_before(3, 1)) == []


def versioned(version: int, points: int = 0, upgrade: Upgrade | None = None) -> LedgerLine:
    details = None if upgrade is None else Details(upgrade=upgrade)
    change = Change(version, 7, points, 0, MembershipLevel.GOLD, vip=False, details=details)
    return LedgerLine(500, "USD", points, 1, "1", version, None, 0, change)


def test_the_lines_of_versions_come_the_latest_first_and_old_lines_have_none(store):
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o0", kept(1, 5, 1))  # of an earlier version of the program
    for version, (kind, line_id) in enumerate([(ORDER, "o1"), (PAYMENT, "p1"), ("K", "6")], start=4):
        ledger.put(unit, "c1", kind, line_id, versioned(version))
    ledger.put(unit, "c10", ORDER, "o9", versioned(5))
    committed = CustomerLedger(commit(unit, store), "c1")
    named = [(6, "K", "6"), (5, PAYMENT, "p1"), (4, ORDER, "o1")]
    assert [each[:3] for each in committed.versions(1, 6)] == named
    assert [each[:3] for each in committed.versions(5, 5)] == named[1:2]
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o1", replace(versioned(4), returned=200))  # as a return writes it again
    ledger.put(unit, "c1", ORDER, "o7", versioned(7))
    now = CustomerLedger(unit, "c1").versions(1, 9)
    assert [each.version for each in now] == [7, 6, 5, 4]
    assert now[-1].line.returned == 200


def test_a_row_of_the_index_that_holds_its_line_as_an_earlier_version_wrote_it_is_still_read(store):
    unit = unit_of(store)
    ledger.put(unit, "c1", ORDER, "o1", kept(7, 5, 1))
    [key] = unit.derived[LEDGER_INDEX]
    unit.put_derived(LEDGER_INDEX, key, b"O\0o1\0" + msgspec.json.encode(kept(7, 5, 1)))
    rows = CustomerLedger(commit(unit, store), "c1")
    assert rows.newest(5) == [(ORDER, "o1", kept(7, 5, 1))]
    assert list(rows.orders_before(8, 0)) == [(7, 500, "USD")]


def test_orders_of_a_time_are_read_without_a_look_up_of_each(store):
    unit = unit_of(store)
    for number in range(50):
        ledger.put(unit, "c1", ORDER, f"o{number}", kept(number, number % 2, number))
    rows = Counting(commit(unit, store))
    assert len(list(CustomerLedger(rows, "c1").orders_before(50, 0))) == 50
    assert rows.looked_up == 0


def test_the_last_upgrade_is_that_of_the_greatest_version(store):
    unit = unit_of(store)
    silver = Upgrade(MembershipLevel.STANDARD, MembershipLevel.SILVER, 1, "USD", "1")
    for version in range(1, 12):
        ledger.put(
            unit, "c1", ORDER, f"o{version}", versioned(version, 0, silver if version in (2, 10) else None)
        )
    rows = Counting(commit(unit, store))
    found = CustomerLedger(rows, "c1").last_upgrade()
    assert found is not None
    assert (found.version, found.id, rows.read) == (10, "o10", 1)
    assert CustomerLedger(rows, "c2").last_upgrade() is None


def test_a_page_of_versions_reads_its_own_lines_and_one_more(store):
    unit = unit_of(store)
    for version in range(1, 500):
        ledger.put(unit, "c1", ORDER, f"o{version}", versioned(version, 1))
    rows = Counting(commit(unit, store))
    for last in (499, 200, 3):
        CustomerLedger(rows, "c1").versions(max(last - 9, 1), last)
    assert rows.read == 11 + 11 + 3


@pytest.mark.parametrize("customer_id", ["c1", "ü"])
def test_a_restore_derives_the_rows_that_a_batch_wrote(store, customer_id):
    unit = unit_of(store)
    silver = Upgrade(MembershipLevel.STANDARD, MembershipLevel.SILVER, 1, "USD", "1")
    ledger.put(unit, customer_id, ORDER, "o1", versioned(2, 5, silver))
    ledger.put(unit, customer_id, ORDER, "ö2", kept(1, 5, 1))
    ledger.put(unit, customer_id, "K", "3", versioned(3))
    lines = unit.changes[LEDGER].items()
    derived = [row for key, value in lines if value is not None for row in LEDGER.derive(key, value)]
    written = [(index, key, value) for index, rows in unit.derived.items() for key, value in rows.items()]
    assert sorted(derived, key=repr) == sorted(written, key=repr)
    assert len(derived) == 5
