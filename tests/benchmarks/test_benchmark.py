"""What the benchmark relies on: its orders, its own rules, its checks and its figures."""

from collections import Counter

import msgspec
import pytest

from tests.benchmarks import rewards
from tests.benchmarks.latency import percentile
from tests.benchmarks.orders import Expected, Workload, order_id, order_number
from tests.benchmarks.published import Published
from worker.domain.decide import decide_order
from worker.domain.evolve import apply
from worker.domain.ledger import ledger_lines
from worker.domain.state import ORDER, Customer, LedgerLine
from worker.wire.events import encode_events
from worker.wire.inputs import decode_order
from worker.wire.rules_file import load_rules

TIME = "2026-11-24T10:15:30.123Z"


class Lines:
    """The ledger of one customer, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], LedgerLine] = {}

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        return self.kept.get((kind, line_id))

    def orders(self) -> list[tuple[str, LedgerLine]]:
        return [(line_id, line) for (kind, line_id), line in self.kept.items() if kind == ORDER]


def published_by_peers(workload: Workload) -> list[bytes]:
    customers: dict[str, rewards.Customer] = {}
    values = []
    for order in workload:
        customer = customers.setdefault(order.customer_id, rewards.Customer())
        decoded = msgspec.json.decode(order.value, type=rewards.OrderCompleted)
        values += [msgspec.json.encode(event) for event in rewards.count(customer, decoded, TIME)]
    return values


def published_by_worker(workload: Workload) -> list[bytes]:
    rules = load_rules(None)
    customers: dict[str, tuple[Customer, Lines]] = {}
    values = []
    for order in workload:
        key = order.customer_id
        new = Customer(id=key, name="n", email="e", version=1, sequence=1)
        customer, lines = customers.setdefault(key, (new, Lines()))
        decoded, before = decode_order(order.value, ()), customer.sequence
        events = decide_order(customer, decoded, rules, lines)
        apply(customer, events, 0)
        lines.kept |= {
            (kind, line_id): line for kind, line_id, line in ledger_lines(events, customer.sequence)
        }
        encoded = encode_events(key, decoded.order_id, decoded.event_id, None, before, TIME, events)
        values += [value for _, value in encoded]
    return values


@pytest.mark.parametrize("zipf", [False, True])
def test_the_python_peers_publish_what_the_worker_does(zipf):
    workload = Workload(orders=6_000, customers=50, zipf=zipf)
    values = published_by_worker(workload)
    assert any(b"CustomerVipUpgradedEvent" in value for value in values)
    assert published_by_peers(workload) == values


def test_the_same_seed_yields_the_same_orders():
    assert list(Workload(200, 20, zipf=True)) == list(Workload(200, 20, zipf=True))
    assert list(Workload(200, 20)) != list(Workload(200, 20, seed=8))


def test_the_first_of_many_customers_has_a_tenth_of_the_zipf_orders():
    counts = Counter(order.customer_id for order in Workload(20_000, 10_000, zipf=True))
    assert 0.09 < counts["customer-0000000"] / 20_000 < 0.12


def test_an_order_number_comes_back_from_its_id():
    assert order_number(order_id(123_456_789)) == 123_456_789


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda values: values, []),
        (lambda values: [*values, values[0]], ["1 orders counted again", "1 customers with a wrong sum"]),
        (lambda values: values[1:], ["1 orders missing", "1 customers with a wrong sum"]),
    ],
)
def test_what_is_missing_or_twice_is_found(change, fault):
    workload, expected, published = Workload(50, 5), Expected(), Published()
    for order in workload:
        expected.add(order)
    for value in change(published_by_peers(workload)):
        published.add(value, 0)
    found = published.faults(expected)
    assert [each for each in found if "sequence" not in each] == fault


def test_a_sequence_with_a_gap_is_found():
    values = published_by_peers(Workload(1, 1))
    published = Published()
    for value in (values[0], values[1].replace(b'"sequence":"3"', b'"sequence":"4"')):
        published.add(value, 0)
    assert published.out_of_sequence == 1


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0
