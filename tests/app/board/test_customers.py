"""The counts of customers are those of a count by hand, however scans, commits and takeovers alternate."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agents.batch import Batch
from tables.customers import CUSTOMERS, standing
from tests.agents.world import PARTITIONS, World
from worker.app.board.customers import CustomerCounting, PartitionCount
from worker.board import CustomerCounts
from worker.domain.values import LEVELS, MembershipLevel
from worker.engine.store import MemoryStore, RocksStores, Store
from worker.observability import metrics

STANDARD, SILVER = MembershipLevel.STANDARD, MembershipLevel.SILVER
ANN = b'{"customer":{"id":"c1","name":"Ann","email":"a@example.com"}}'
BEN = b'{"customer":{"id":"c2","name":"Ben","email":"b@example.com","level":"SILVER"}}'


class Engine:
    """Holds stores, as worker.engine.engine.Engine does. number → store; nothing while it is not processing."""

    def __init__(self, stores: dict[int, Store]) -> None:
        self.stores = stores
        self.processing = True

    @property
    def held(self) -> frozenset[int]:
        return frozenset(self.stores) if self.processing else frozenset()

    def store(self, number: int) -> Store | None:
        return self.stores.get(number) if self.processing else None


class Shop:
    """A simulated worker with customers, whose commits, scans and takeovers come in a random order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(seed, max_batch=4)
        self.engine = Engine(dict(enumerate(self.world.stores)))
        ticks = count()
        rows = self.random.randint(1, 3)
        self.counting = CustomerCounting(self.engine, lambda: next(ticks), slice_s=rows)
        self.world.committed = self.committed
        self.ids = (f"id-{n}" for n in count())

    def committed(self, batch: Batch) -> None:
        """What worker.app.run does after a commit."""
        unit = batch.unit
        events = unit.outbox.get((self.world.routing.events, unit.partition), ())
        self.counting.committed(unit.partition, events, metrics.count_output(events, [], {}))

    def input(self) -> None:
        """An input of a customer who may or may not be registered."""
        customer_id, new = f"c{self.random.randrange(12)}", next(self.ids)
        kind = self.random.choice(("register", "order", "order", "order", "upgrade", "erase"))
        if kind == "register":
            self.world.register(customer_id, command_id=new)
        elif kind == "order":
            self.world.order(customer_id, new, self.random.choice(("10.00", "700.00", "3000.00", "9000.00")))
        elif kind == "upgrade":
            data = {"newLevel": self.random.choice(LEVELS), "reason": "a gift"}
            self.world.command("UpgradeMembership", customer_id, new, data)
        else:
            self.world.command("EraseCustomer", customer_id, new, {"reason": "asked"})

    def batch(self) -> None:
        self.world.one_batch(self.random.randrange(PARTITIONS))

    def take_over(self) -> None:
        """All partitions are released and come back. Some were with another worker meanwhile, who processed inputs."""
        self.engine.processing = False
        self.counting.released(self.engine.stores.values())
        for number, store in self.engine.stores.items():
            if self.random.random() < 0.5:
                self.world.one_batch(number)
                store.write({}, {CUSTOMERS.mark: next(self._offsets)})
            self.counting.restored(store)
        self.engine.processing = True

    _offsets = count(1)

    def play(self) -> None:
        """A random day, up to the end of all scans."""
        actions = [self.input] * 6 + [self.batch] * 4 + [self.counting.slice] * 3 + [self.take_over]
        for _ in range(120):
            self.random.choice(actions)()
        self.world.run()
        while self.counting.slice():
            pass

    def by_hand(self) -> CustomerCounts:
        """The counts by the rows."""
        levels, vips = Counter[MembershipLevel](), 0
        for store in self.world.stores:
            for _, value in store.scan(CUSTOMERS.mark):
                customer = standing(value)
                if customer is not None and not customer.erased:
                    levels[customer.level] += 1
                    vips += customer.vip_since is not None
        return CustomerCounts({level: levels[level] for level in LEVELS}, vips, ())


def wrong(seeds: int) -> list[int]:
    """The seeds at whose end the counts are not those by hand."""
    found = []
    for seed in range(seeds):
        shop = Shop(seed)
        shop.play()
        if shop.counting.counts() != shop.by_hand():
            found.append(seed)
    return found


def test_however_scans_commits_and_takeovers_alternate_the_counts_are_exact():
    assert wrong(40) == []


def test_the_days_have_all_levels_vips_and_erased_customers():
    shops = [Shop(seed) for seed in range(10)]
    for shop in shops:
        shop.play()
    found = [shop.by_hand() for shop in shops]
    assert all(sum(each.by_level[level] for each in found) for level in LEVELS)
    assert sum(each.vips for each in found)
    assert any("CustomerErasedEvent" in shop.world.types(f"c{n}") for shop in shops for n in range(12))


@pytest.mark.parametrize(
    ("method", "without"),
    [
        ("_has_seen", lambda *_: True),  # an event counts wherever the scan is
        ("is_unchanged", lambda *_: True),  # a partition that comes back keeps its counts in any case
    ],
)
def test_control_without_the_rule_they_are_not(monkeypatch: pytest.MonkeyPatch, method: str, without: Any):
    monkeypatch.setattr(PartitionCount, method, without)
    assert wrong(10)


def store_of(**rows: bytes) -> MemoryStore:
    store = MemoryStore()
    store.write({CUSTOMERS.mark: {key.encode(): row for key, row in rows.items()}}, {CUSTOMERS.mark: 5})
    return store


def counted(engine: Engine) -> CustomerCounting:
    counting = CustomerCounting(engine)
    while counting.slice():
        pass
    return counting


def test_a_partition_is_being_counted_until_its_scan_is_at_the_end():
    engine = Engine({0: store_of(c1=ANN, c2=BEN), 1: store_of()})
    ticks = count()
    counting = CustomerCounting(engine, lambda: next(ticks), slice_s=0)
    assert counting.counts().counting == (0, 1)
    assert counting.slice()
    assert (counting.counts().total, counting.counts().counting) == (1, (0, 1))
    while counting.slice():
        pass
    assert counting.counts() == CustomerCounts(dict.fromkeys(LEVELS, 0) | {STANDARD: 1, SILVER: 1}, 0, ())


def test_a_partition_that_comes_back_unchanged_is_not_counted_again():
    engine = Engine({0: store_of(c1=ANN)})
    counting = counted(engine)
    engine.processing = False
    counting.released(engine.stores.values())
    assert counting.counts().total == 1  # of the time before the takeover
    counting.restored(engine.stores[0])
    engine.processing = True
    assert not counting.slice()
    assert (counting.counts().total, counting.counts().counting) == (1, ())


def test_a_partition_that_leaves_is_counted_no_more_and_a_new_store_is_counted_anew():
    engine = Engine({0: store_of(c1=ANN), 1: store_of(c2=BEN)})
    counting = counted(engine)
    engine.stores = {1: store_of(c2=BEN)}
    assert counting.counts().counting == (1,)
    assert counting.slice()
    assert (counting.counts().by_level[STANDARD], counting.counts().by_level[SILVER]) == (0, 1)


def test_a_row_that_cannot_be_read_is_left_out_and_said_in_the_log_without_its_content():
    with capture_logs() as lines:
        counting = counted(Engine({0: store_of(c0=b'{"customer":{"level":"IRON"}}', c1=ANN)}))
    assert counting.counts().total == 1
    assert [line["customers"] for line in lines] == [1]
    assert "IRON" not in str(lines)


async def test_a_scan_of_many_rows_goes_slice_by_slice_with_pauses():
    rows = {f"c{n:05}": ANN for n in range(20_000)}
    counting = CustomerCounting(Engine({0: store_of(**rows)}), slice_s=0.002, pause_s=0.01)
    running = asyncio.create_task(counting.run())
    steps: list[int] = []
    while not steps or steps[-1] < 10_000:
        await asyncio.sleep(0.005)
        steps.append(counting.counts().total)
    running.cancel()
    assert counting.counts().counting == (0,)
    assert len(set(steps)) > 2


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[RocksStores]:
    """Real stores of two partitions, with a customer each. Whoever reads one that is closed gets StoreFailed."""
    kept = RocksStores(tmp_path)
    for number, row in enumerate((ANN, BEN)):
        kept.open(number).write({CUSTOMERS.mark: {b"c": row}}, {CUSTOMERS.mark: 5})
    yield kept
    kept.release(())


def test_a_scan_rests_while_stores_are_closed(stores: RocksStores):
    engine = Engine({number: stores.open(number) for number in (0, 1)})
    counting = CustomerCounting(engine, slice_s=0)
    assert counting.slice()
    engine.processing = False
    counting.released(tuple(engine.stores.values()))
    stores.release(())
    assert not counting.slice()


def test_a_release_reads_only_the_stores_that_were_held_until_then(stores: RocksStores):
    engine = Engine({number: stores.open(number) for number in (0, 1)})
    counting = counted(engine)
    engine.processing = False
    counting.released(tuple(engine.stores.values()))
    stores.release([1])
    engine.stores = {1: stores.open(1)}
    counting.restored(engine.stores[1])
    engine.processing = True  # and before the next slice
    engine.processing = False
    counting.released(tuple(engine.stores.values()))
    assert counting.counts().by_level[SILVER] == 1
