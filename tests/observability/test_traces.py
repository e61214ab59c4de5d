"""A trace that an input belongs to goes on with everything that the input causes, and with nothing else."""

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build
from tests.agents.world import World
from tests.api.in_memory import RULES, InMemoryGateway
from tests.api.in_memory import World as ApiWorld
from worker.engine.unit import InputRecord
from worker.observability.tracing import TRACEPARENT, checked, traceparent_of
from worker.settings import Settings

ONE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.fixture
def world() -> World:
    return World()


def command(customer: str, command_type: str, command_id: str, data: Any) -> dict[str, Any]:
    issued = {"commandId": command_id, "commandType": command_type, "customerId": customer}
    return {**issued, "issuedAt": "2026-11-24T10:00:00Z", "data": data}


def register(world: World, customer: str, trace: bytes | None, key: str | None = None) -> None:
    value = command(
        customer, "RegisterCustomer", f"reg-{customer}", {"name": "Ada", "email": f"{customer}@x.org"}
    )
    headers = () if trace is None else ((TRACEPARENT, trace),)
    world.produce(world.routing.commands, value, key or customer, headers=headers)


def order(world: World, customer: str, order_id: str, trace: bytes | None, key: str | None = None) -> None:
    value = {
        "eventId": order_id,
        "orderId": order_id,
        "customerId": customer,
        "totalAmount": {"amount": "25.00", "currency": "USD"},
        "occurredOn": "2026-11-01T12:00:00Z",
    }
    headers = () if trace is None else ((TRACEPARENT, trace),)
    world.produce(world.routing.orders, value, key or customer, headers=headers)


def trace_of(record: InputRecord) -> bytes | None:
    return dict(record.headers).get(TRACEPARENT)


def traces(world: World, topic: str) -> dict[str, bytes | None]:
    """causationid or commandId -> the trace of what it caused, which must be one."""
    found: dict[str, bytes | None] = {}
    for record in world.records(topic):
        value = json.loads(record.value or b"")
        cause = value.get("causationid") or value["commandId"]
        assert found.setdefault(cause, trace_of(record)) == trace_of(record)
    return found


def test_a_registration_keeps_its_trace_through_the_claim_of_its_email(world: World):
    register(world, "c1", ONE)
    register(world, "c2", None)
    world.run()
    assert traces(world, world.routing.events) == {"reg-c1": ONE, "reg-c2": None}
    assert traces(world, world.routing.results) == {"reg-c1": ONE, "reg-c2": None}


def test_each_input_of_a_batch_has_its_own_trace(world: World):
    register(world, "c1", None)
    world.run()
    order(world, "c1", "o1", ONE)
    order(world, "c1", "o2", None)
    order(world, "c1", "o3", OTHER)
    world.run()
    assert traces(world, world.routing.events) == {"reg-c1": None, "o1": ONE, "o2": None, "o3": OTHER}


def test_what_came_with_another_key_keeps_its_trace(world: World):
    register(world, "c1", ONE, key="a key of its own")
    world.run()
    order(world, "c1", "o1", OTHER, key="another key of its own")
    world.run()
    assert traces(world, world.routing.events) == {"reg-c1": ONE, "o1": OTHER}


def test_an_order_that_waited_has_the_trace_it_came_with(world: World):
    order(world, "c1", "o1", OTHER)
    order(world, "c1", "o2", None)
    world.run()
    register(world, "c1", ONE)
    world.run()
    assert traces(world, world.routing.events) == {"reg-c1": ONE, "o1": OTHER, "o2": None}


def test_a_command_that_queued_behind_a_claim_has_its_own_trace(world: World):
    register(world, "c1", ONE)
    status = command("c1", "ChangeStatus", "status-1", {"newStatus": "INACTIVE", "reason": "r"})
    world.produce(world.routing.commands, status, "c1", headers=((TRACEPARENT, OTHER),))
    world.run()
    assert traces(world, world.routing.results) == {"reg-c1": ONE, "status-1": OTHER}


def test_a_dead_letter_keeps_the_trace_of_the_original(world: World):
    world.produce(world.routing.orders, b"poison", "c1", headers=((TRACEPARENT, ONE),))
    world.run()
    assert [trace_of(record) for record in world.records(world.routing.dead_letters)] == [ONE]


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"Ann Lee",
        ONE + b" ann@example.com",
        ONE.upper(),
        b"ff" + ONE[2:],
        b"00-" + b"0" * 32 + ONE[35:],
        ONE[:36] + b"0" * 16 + b"-01",
    ],
)
def test_what_is_not_a_trace_does_not_travel(text: bytes | None):
    assert checked(text) is None
    assert traceparent_of([(TRACEPARENT, text)]) is None


def test_a_trace_is_found_in_any_spelling_of_its_name_and_only_when_there_is_one():
    assert traceparent_of([("other", b"x"), ("TraceParent", ONE)]) == ONE
    assert traceparent_of([(TRACEPARENT, ONE), (TRACEPARENT, OTHER)]) is None


@pytest.mark.parametrize(("sent", "produced"), [(ONE.decode(), ONE), ("Ann Lee", None), (None, None)])
async def test_an_http_write_puts_its_trace_on_the_command(sent: str | None, produced: bytes | None):
    world = ApiWorld()
    gateway = InMemoryGateway(world)
    gateway.own()
    async with TestClient(TestServer(build(Settings(), gateway, RULES).application())) as client:
        headers = {} if sent is None else {TRACEPARENT: sent}
        answer = await client.post(
            "/api/v1/customers", json={"name": "Ann", "email": "a@x.org"}, headers=headers
        )
    assert answer.status == 201
    assert [record["traceparent"] for record in world.records] == [produced]
