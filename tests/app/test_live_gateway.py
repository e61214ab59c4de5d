"""What readers share of a worker, without a worker: decoded customers, for as long as they may be shown."""

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from agents.routing import Routing
from tables import customers, waiting
from tables.rows import compound
from worker.app import live_gateway
from worker.app.awaited import AwaitedResults
from worker.app.live_gateway import LiveGateway
from worker.domain.messages import RegisterCustomer
from worker.domain.state import CustomerRow, PendingClaim
from worker.engine.store import MemoryStore
from worker.engine.unit import InputRecord
from worker.gateway import NotOwned
from worker.kafka.topics import Catalogue
from worker.membership import Member
from worker.wire.results import CommandResult

ME = Member("http://one:6066", "0.4.0", "abc", "", payment_join=False, rules={})
ROW = b'{"customer":{"id":"c1","name":"Ann","email":"ann@example.com","version":1}}'


@pytest.fixture(autouse=True)
def nothing_decoded() -> Iterator[None]:
    live_gateway._decoded.cache_clear()
    yield
    live_gateway._decoded.cache_clear()


def attach(gateway: LiveGateway, store: MemoryStore | None) -> None:
    """Connect to an engine that holds this store for every partition; None: to one that holds nothing."""
    engine: Any = SimpleNamespace(store=lambda number: store)
    gateway.attach(cast("Any", None), engine, {})


@pytest.mark.parametrize(("command_type", "kept"), [("EraseCustomer", 0), ("UpdateProfile", 1)])
def test_nobody_who_was_erased_stays_decoded_for_those_who_read(command_type: str, kept: int):
    catalogue = Catalogue(partitions=4)
    gateway = LiveGateway(catalogue, Routing(catalogue, 4), ME)
    live_gateway._decoded(ROW)
    result = CommandResult("k1", command_type, "c1", "APPLIED", 2)
    gateway.committed(cast("Any", SimpleNamespace(results=[result])), ["c1"], 1)
    assert live_gateway._decoded.cache_info().currsize == kept


def test_what_clients_ask_for_does_not_fill_the_cache_of_the_streams_keys():
    catalogue = Catalogue(partitions=4)
    routing = Routing(catalogue, 4)
    gateway = LiveGateway(catalogue, routing, ME)
    attach(gateway, None)
    for number in range(100):
        with pytest.raises(NotOwned) as away:
            gateway.customer(f"c{number}")
        assert (
            away.value.partition == gateway.partition_of(f"c{number}") == routing.partition_of(f"c{number}")
        )
    assert routing.homes == {}
    assert routing.home("c1") == (gateway.partition_of("c1"), b"c1")


async def test_a_result_is_not_missed_however_early_it_comes_and_is_forgotten_with_whoever_waited():
    awaited = AwaitedResults()
    result = CommandResult("k1", "UpdateProfile", "c1", "APPLIED", 2)
    expected, given_up = awaited.expect("c1", "k1"), awaited.expect("c1", "k1")
    given_up.cancel()
    awaited.resolve([result])
    assert await expected == result
    left = awaited.expect("c2", "k2")
    awaited.abandon()
    with pytest.raises(NotOwned):
        await left
    await asyncio.sleep(0.01)  # the callbacks have run
    assert not awaited._waiting


def queue_of(gateway: LiveGateway, commands: int, padding: int) -> None:
    """A customer whose registration waits for its email claim, with that many commands behind it."""
    store = MemoryStore()
    register = RegisterCustomer(
        command_id="first", customer_id="c1", issued_at=0, name="Ann", email="ann@example.com"
    )
    rows = {
        b"c1": msgspec.json.encode(CustomerRow(pending_claim=PendingClaim(register, "x"), queued=commands))
    }
    store.write({customers.CUSTOMERS.mark: rows}, {})
    for number in range(commands):
        value = {
            "commandId": f"k{number}",
            "commandType": "ChangeStatus",
            "customerId": "c1",
            "issuedAt": "2026-11-24T10:00:00Z",
            "data": {"newStatus": "INACTIVE", "reason": "x", "padding": "y" * padding},
        }
        source = InputRecord("customer.commands", 0, number, 0, b"c1", msgspec.json.encode(value), ())
        key = compound("c1", waiting.COMMAND, f"{number:09}")
        store.write({waiting.WAITING.mark: {key: msgspec.json.encode(source)}}, {})
    attach(gateway, store)


@pytest.fixture
def gateway() -> LiveGateway:
    catalogue = Catalogue(partitions=4)
    return LiveGateway(catalogue, Routing(catalogue, 4), ME)


@pytest.mark.parametrize(
    ("command_id", "known"), [("first", True), ("k0", True), ("k19", True), ("k20", False)]
)
def test_a_command_that_waits_for_a_claim_is_pending_and_another_is_unknown(
    gateway: LiveGateway, command_id: str, known: bool
):
    queue_of(gateway, 20, 10)
    found = gateway.command("c1", command_id)
    assert (found is not None and found.pending) is known


def test_a_long_queue_is_searched_for_a_bounded_time(gateway: LiveGateway):
    queue_of(gateway, 300, 200_000)
    started = time.process_time()
    found = gateway.command("c1", "unknown")
    assert time.process_time() - started < 0.1
    assert found is not None
    assert found.pending


@pytest.mark.parametrize(
    ("desk", "more"), [(True, {"board", "count of customers"}), (False, set[str]())], ids=["on", "off"]
)
async def test_without_the_desk_nothing_is_counted_for_its_board(kafka: str, desk: bool, more: set[str]):
    catalogue = Catalogue(partitions=4)
    gateway = LiveGateway(catalogue, Routing(catalogue, 4), ME)
    engine: Any = SimpleNamespace(held=frozenset[int](), copied=frozenset[int](), processing=False)
    engine.progress = dict
    app = SimpleNamespace(rebalancing=True, members=(ME,), owner_url=lambda topic, partition: None)
    gateway.attach(cast("Any", app), engine, {"bootstrap_servers": kafka})
    await gateway.start(desk=desk)
    try:
        names = {task.get_name() for task in asyncio.all_tasks()}
    finally:
        await gateway.stop()
    assert names & {"lag watch", "board", "count of customers"} == {"lag watch"} | more
