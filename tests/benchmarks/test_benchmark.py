"""Tests of the benchmark itself: its orders, its own rules, its checks and its figures."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from tables.ledger import LEDGER, LEDGER_INDEX, LEDGER_VERSIONS, decode
from tests.benchmarks import growth, index_cost, peers, recovery, rewards, scale
from tests.benchmarks.hotpath import PARTS, Bench, measure
from tests.benchmarks.latency import percentile
from tests.benchmarks.orders import Expected, Workload, customer_id, order_id, order_number
from tests.benchmarks.published import Published
from tests.benchmarks.recovery import Recovery, Restart
from tests.benchmarks.results import Comparison, PeerResults, Stored
from tests.benchmarks.runner import Runner, runner
from tests.benchmarks.takeover import Takeover
from tests.benchmarks.throughput import Throughput, WrongResult, check
from tests.domain.given import Lines
from tests.native.libraries import using
from worker import native
from worker.domain.decide import decide_order
from worker.domain.evolve import apply
from worker.domain.ledger import ledger_lines
from worker.domain.state import Customer
from worker.engine.unit import Table
from worker.wire.events import encode_events
from worker.wire.inputs import decode_order
from worker.wire.rules_file import load_rules

TIME = "2026-11-24T10:15:30.123Z"


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
        lines.lines |= {(kind, line_id): line for kind, line_id, line in ledger_lines(events, customer)}
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


@pytest.fixture(scope="module")
def running() -> Iterator[Runner]:
    """A runner whose broker stamps records as the benchmark needs."""
    with runner() as made:
        yield made


def ran(peer: peers.Peer, workload: Workload, cpu: float = 0.04, peak_mb: float = 300.0) -> PeerResults:
    """Invented results of one run."""
    run = Throughput(20_000.0, cpu, 0.05, 0.01, peak_mb, 3.0, 5.0, 0, ())
    return PeerResults(peer, workload, [run], [Stored(1_000 * workload.customers, 9_000_000)], [4.0])


@pytest.mark.long
def test_two_processes_share_the_partitions_and_their_sums_are_right(running):
    two = PeerResults(peers.TWO, Workload(orders=1_000, customers=50))
    running.run(two)
    (run,), (stored,), (shared_s,) = two.runs, two.stored, two.shared_s
    assert run.faults == ()
    assert 0 < stored.registered < stored.worked_off
    assert 0 < shared_s < 60


@pytest.mark.long
def test_a_worker_comes_back_and_takes_a_half_over_and_every_sum_is_right(running):
    found = recovery.measure(running, Workload(orders=200, customers=100), times=1)
    (intact,), (deleted,), (takeover,) = found.intact, found.deleted, found.takeovers
    assert intact.replayed == 0
    assert deleted.replayed >= 100  # at least one row per customer
    assert takeover.seconds > 1.0  # a takeover needs the session to expire first


def test_figures_of_two_processes_count_only_when_each_had_its_half_in_time():
    workload = Workload(1_000, 50)
    one, two = ran(peers.OURS, workload), ran(peers.TWO, workload, cpu=0.03)
    assert "**Not figures" not in "\n".join(scale.markdown(Comparison(workload, [one, two])))
    two.shared_s = [6.0]
    lines = scale.markdown(Comparison(workload, [one, two]))
    assert any(line.startswith("**Not figures of two processes") for line in lines)
    assert "| two by one | 1.00 | 0.75 | 1.00 | 1.25 | 0.80 | 1.00 |" in lines


def test_growth_goes_from_one_order_a_customer_to_one_customer_with_all_orders():
    rows = growth.workloads(100_000)
    assert [row.customers for row in rows] == [100_000, 10_000, 1_000, 100, 10, 10_000, 1]
    assert {row.orders for row in rows} == {100_000}
    assert Counter(order.customer_id for order in Workload(200, 1)) == {customer_id(0): 200}


def test_what_a_customer_takes_is_the_difference_between_many_and_few():
    many = ran(peers.OURS, Workload(1_000_000, 1_000_000), peak_mb=400.0)
    few = ran(peers.OURS, Workload(1_000_000, 100), cpu=0.02, peak_mb=300.0)
    one = ran(peers.OURS, Workload(1_000_000, 1), cpu=0.02, peak_mb=200.0)
    text = "\n".join(growth.markdown([many, few, one]))
    assert "Memory per customer: 105 bytes, from the peaks with 100 and with 1,000,000 customers." in text
    assert "On disk per customer, as RocksDB left it: 1,000 bytes" in text
    assert "| 2.00 |\n| 100 customers, 10,000 orders each on average |" in text


def test_a_missed_mark_is_told():
    slow, fast = Restart(10.1, 8.0, 5_000), Restart(2.9, 0.1, 0)
    takeovers = [Takeover(8.0, 10), Takeover(8.1, 2_000)]
    lines = recovery.markdown(Recovery(Workload(1_000, 500), [fast], [slow], takeovers))
    marked = [line.rsplit("| ", 1)[1] for line in lines if line.startswith(("| back", "| takeover"))]
    assert marked == ["yes |", "**NO** |", "yes |", "**NO** |"]
    assert lines[-1] == "The marks are those of 1,000,000 customers."


def test_a_wrong_sum_ends_the_benchmark_of_a_peer_that_promises_exactly_once():
    workload, expected, published = Workload(5, 5), Expected(), Published()
    for order in workload:
        expected.add(order)
    with pytest.raises(WrongResult, match="5 orders missing"):
        check(peers.OURS, published, expected)
    assert check(peers.FAUST, published, expected)[0] == "5 orders missing"


def test_the_cost_of_an_order_is_told_part_by_part() -> None:
    cost = measure(Workload(400, 20, zipf=True), parts=True)
    assert set(PARTS) < set(cost)
    assert all(microseconds > 0 for microseconds in cost.values())


def rows(bench: Bench, table: Table) -> dict[bytes, bytes]:
    """The table's rows in all partitions. Keys do not repeat, because each begins with a customerId."""
    return {key: value for store in bench.stores for key, value in store.scan(table.mark)}


@pytest.mark.parametrize("codecs", [native.Choice.AUTO, native.Choice.OFF])
def test_orders_without_the_indexes_write_the_same_lines_but_their_changes(codecs, tmp_path):
    plain, full = (Bench(Workload(300, 20), tmp_path / name) for name in ("plain", "full"))
    with using(native.chosen):
        native.choose(codecs)
        with index_cost.without():
            plain.run(lambda *_: None)
        full.run(lambda *_: None)
    lines = {key: decode(value) for key, value in rows(full, LEDGER).items()}
    assert len(lines) == 300
    assert all(line.change for line in lines.values())
    bare = {key: msgspec.structs.replace(line, change=None) for key, line in lines.items()}
    assert {key: decode(value) for key, value in rows(plain, LEDGER).items()} == bare
    for index in (LEDGER_INDEX, LEDGER_VERSIONS):
        assert set(rows(plain, index)) <= {b""}
        assert len(rows(full, index)) >= 300


def test_the_share_of_the_indexes_is_that_of_the_whole_worker():
    pair = index_cost.Pair(without=50.0, full=52.0, others_without=3.0, others_full=4.0)
    lines = index_cost.markdown([pair] * 3, whole=100.0)
    assert "| together | 53.0 | 56.0 | 3.0 |" in lines
    assert lines[-1] == "Of the whole worker's 100.0 us they are 3.0%; at most 3%: yes."
