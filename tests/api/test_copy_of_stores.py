"""The Redis copy over real stores, which change, close and open again while it is being written."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from agents.routing import Routing
from api import read_copy
from api.read_copy import ReadCopy
from tables.customers import CUSTOMERS
from tests.api.in_memory import RULES, InMemoryGateway, World
from tests.api.redis_server import RedisServer
from tests.api.test_read_copy import eventually
from tests.app.test_live_gateway import ME
from worker.app.live_gateway import LiveGateway
from worker.domain.state import Customer, CustomerRow
from worker.engine.exits import ExitCode
from worker.engine.store import MemoryStores, RocksStores, StoreFailed, Stores
from worker.kafka.topics import Catalogue

MANY = 300


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["rocksdb", "memory"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    kept: Stores = RocksStores(tmp_path / "store") if request.param == "rocksdb" else MemoryStores()
    yield kept
    kept.release(())


class Held:
    """What LiveGateway asks of an engine that holds one partition, or nothing for a moment."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.held = frozenset({0})
        self.on_release: Any = None

    def holds(self, number: int) -> bool:
        return number in self.held

    def store(self, number: int) -> Any:
        return self.stores.open(number) if number in self.held else None


def write(stores: Stores, numbers: range, version: int = 1) -> None:
    rows = {
        f"c{number:04}": CustomerRow(
            customer=Customer(id=f"c{number:04}", name="X", email=f"{number}@example.com", version=version)
        )
        for number in numbers
    }
    changes = {name.encode(): msgspec.json.encode(row) for name, row in rows.items()}
    stores.open(0).write({CUSTOMERS.mark: changes}, {})


def copy_of(stores: Stores, redis: RedisServer) -> tuple[ReadCopy, Held]:
    catalogue = Catalogue(partitions=1)
    gateway = LiveGateway(catalogue, Routing(catalogue, 1), ME)
    held = Held(stores)
    gateway.attach(cast("Any", None), cast("Any", held), {})
    return ReadCopy(redis.url, "app", gateway, RULES), held


def copied(redis: RedisServer) -> int:
    return len(redis.client.keys("app:copy:*"))


def test_an_iterator_that_is_kept_keeps_a_store_from_opening_again(tmp_path: Path) -> None:
    """Why nothing is held between two pages: this ended the worker (exit 77)."""
    stores = RocksStores(tmp_path)
    write(stores, range(3))
    rows = stores.open(0).scan(CUSTOMERS.mark)
    next(rows)
    stores.release(())
    with pytest.raises(StoreFailed):
        stores.open(0)
    del rows


async def test_a_partition_that_comes_back_at_once_is_opened_and_copied(
    stores: Stores, redis: RedisServer
) -> None:
    write(stores, range(MANY))
    copy, held = copy_of(stores, redis)
    async with copy.running():
        for _ in range(20):
            await eventually(lambda: copied(redis) > 0)
            held.held = frozenset()
            stores.release(())
            if isinstance(stores, MemoryStores):
                write(stores, range(MANY))  # as a restore would
            stores.open(0)
            held.held = frozenset({0})
            await asyncio.sleep(0.01)
        await eventually(lambda: copied(redis) == MANY)


async def test_commits_during_a_rebuild_do_not_end_it(stores: Stores, redis: RedisServer) -> None:
    write(stores, range(MANY))
    copy, _ = copy_of(stores, redis)
    async with copy.running():
        for number in range(MANY, MANY + 40):
            write(stores, range(number, number + 1))
            write(stores, range(number % MANY, number % MANY + 1), version=2)
            copy.changed([f"c{number:04}", f"c{number % MANY:04}"])
            await asyncio.sleep(0.01)
        await eventually(lambda: copied(redis) == MANY + 40)
        await eventually(lambda: redis.client.hget("app:copy:c0000", "v") == "2")


async def test_a_customer_that_cannot_be_copied_is_told_loudly_and_holds_up_nobody(
    redis: RedisServer,
) -> None:
    class Broken(InMemoryGateway):
        def customer(self, customer_id: str) -> Customer | None:
            if customer_id == "c2":
                raise RuntimeError("ann@example.com")
            return super().customer(customer_id)

    world = World()
    for number in range(6):
        world.customers[f"c{number}"] = Customer(id=f"c{number}", name="X", email="x@example.com", version=1)
    gateway = Broken(world)
    gateway.own()
    name = "customer_context_read_copy_failures_total"
    before = REGISTRY.get_sample_value(name) or 0
    with capture_logs() as logs:
        async with ReadCopy(redis.url, "app", gateway, RULES, first_backoff_s=0.01).running():
            await eventually(lambda: copied(redis) == 5)
    assert (REGISTRY.get_sample_value(name) or 0) - before == 1
    assert [each["log_level"] for each in logs if "unexpected" in each["event"]] == ["error"]


async def test_a_store_that_cannot_be_read_ends_the_worker_with_its_own_code(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreadable(InMemoryGateway):
        def customer(self, customer_id: str) -> Customer | None:
            raise StoreFailed("the local store cannot be read")

    codes: list[ExitCode] = []

    def end(code: ExitCode, why: str, *, error: BaseException) -> NoReturn:
        codes.append(code)
        raise SystemExit(code)

    monkeypatch.setattr(read_copy, "die", end)
    world = World()
    world.customers["c1"] = Customer(id="c1", name="X", email="x@example.com", version=1)
    gateway = Unreadable(world)
    gateway.own()
    copy = ReadCopy(redis.url, "app", gateway, RULES)
    with pytest.raises(SystemExit):
        await copy._write_for_ever()
    assert codes == [ExitCode.STORE_FAILED]


async def test_a_pipeline_ends_by_time_as_well_as_by_number(redis: RedisServer) -> None:
    read = 0

    class Slow(InMemoryGateway):
        def customer(self, customer_id: str) -> Customer | None:
            nonlocal read
            read += 1
            time.sleep(0.006)
            return super().customer(customer_id)

    world = World()
    for number in range(40):
        world.customers[f"c{number}"] = Customer(id=f"c{number}", name="X", email="x@example.com", version=1)
    gateway = Slow(world)
    gateway.own()
    most = 0
    async with ReadCopy(redis.url, "app", gateway, RULES).running():
        while copied(redis) < 40:
            before = read
            await asyncio.sleep(0)
            most = max(most, read - before)
    assert 0 < most < 8  # without the end by time all 40 at once
