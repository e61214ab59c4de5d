"""A long input is read, searched and compared beside the event loop, whichever way it comes."""

import asyncio
import math
import threading
from collections.abc import Callable

import pytest

from agents import commands
from tests.agents.owned import Owned
from tests.agents.readings import LONG_BYTES, Readings
from tests.agents.world import PARTITIONS
from tests.simulation.traffic import Traffic
from tests.verify.observed import Observed
from worker.engine import unit
from worker.wire.cloudevents import Headers
from worker.wire.commands import ReceivedCommand, decode_command
from worker.wire.type_aliases import TypeAliases

DAY_S = 86_400.0
NOTE = "x" * LONG_BYTES
CARD = f"4111111111111111 {NOTE}"
Turn = Callable[[Owned], None]


def directly(world: Owned) -> None:
    world.register("c1", note=NOTE)
    world.order("c1", "o1", "10.00", note=NOTE)
    world.payment("c1", "p1", "10.00")
    world.returned("c1", "r1", "o1", "1.00", note=NOTE)


def through_the_inbox(world: Owned) -> None:
    world.register("c1")
    value = {
        "commandId": "k",
        "commandType": "ChangeStatus",
        "customerId": "c1",
        "issuedAt": "2026-11-24T10:00:00Z",
        "data": {"newStatus": "INACTIVE", "reason": NOTE[:500], "note": NOTE},
    }
    world.produce(world.routing.commands, value, "another")


def behind_an_email_claim(world: Owned) -> None:
    world.register("c1", email=world.email("ann", "c1", here=False), note=NOTE)
    for number in range(3):
        for note in ("", NOTE):
            data = {"newStatus": ("INACTIVE", "ACTIVE")[number % 2], "reason": "r", "note": note}
            world.command("ChangeStatus", "c1", f"{number}{len(note)}", data)


def before_the_registration(world: Owned) -> None:
    for number in range(3):
        for note in ("", NOTE):
            world.order("c1", f"o{number}{len(note)}", "10.00", note=note)
    world.returned("c1", "r1", f"o1{LONG_BYTES}", "1.00", note=NOTE)
    world.register("c1")


def before_its_order(world: Owned) -> None:
    world.register("c1")
    for note in ("", NOTE, "y"):
        world.returned("c1", f"r{len(note)}", "o1", "1.00", note=note)
    world.order("c1", "o1", "10.00")


def a_payment_before_its_order(world: Owned) -> None:
    world.register("c1")
    value = {
        "eventId": "e-p1",
        "paymentId": "p1",
        "orderId": "o1",
        "amount": {"amount": "10.00", "currency": "USD"},
        "occurredOn": "2026-11-01T12:00:00Z",
        "note": NOTE,
    }
    world.produce(world.routing.payments, value, "o1")
    world.order("c1", "o1", "10.00")


def to_the_dead_letters(world: Owned) -> None:
    world.order("c1", "o1", "10.00", currency="none", note=CARD)
    world.produce(world.routing.commands, b"not JSON" + NOTE.encode(), "c1")


def too_late(world: Owned) -> None:
    for note in (NOTE, "", CARD):
        world.order("c1", f"o{len(note)}", "10.00", note=note)


WAYS: dict[str, Turn] = {
    way.__name__.replace("_", " "): way
    for way in (
        directly,
        through_the_inbox,
        behind_an_email_claim,
        before_the_registration,
        before_its_order,
        a_payment_before_its_order,
        to_the_dead_letters,
        too_late,
    )
}


async def gone(monkeypatch: pytest.MonkeyPatch, way: str) -> tuple[Owned, Readings]:
    """A world in which long inputs have come this way."""
    world, readings = Owned(monkeypatch, payment_join=True), Readings(monkeypatch)
    WAYS[way](world)
    await world.settle()
    if way == "too late":
        world.now += 31 * DAY_S
        await world.settle(sweeps=True)
        assert [reason for reason, _ in world.dead_letters()] == ["WAITING_EXPIRED"] * 3
    assert Observed(world).differences() == []
    return world, readings


@pytest.mark.parametrize("way", WAYS)
async def test_a_long_input_never_holds_the_event_loop(monkeypatch: pytest.MonkeyPatch, way: str):
    monkeypatch.setattr(unit, "LONG_VALUE_BYTES", LONG_BYTES)
    world, readings = await gone(monkeypatch, way)
    assert readings.on_the_loop == 0
    assert readings.beside_it > 0
    assert world.exits == []


@pytest.mark.parametrize("way", WAYS)
async def test_control_without_the_thread_each_of_them_does(monkeypatch: pytest.MonkeyPatch, way: str):
    monkeypatch.setattr(unit, "LONG_VALUE_BYTES", math.inf)
    _, readings = await gone(monkeypatch, way)
    assert readings.on_the_loop > 0
    assert readings.beside_it == 0


@pytest.mark.parametrize("seed", range(3))
async def test_any_traffic_counts_once_if_every_input_is_long(monkeypatch: pytest.MonkeyPatch, seed: int):
    monkeypatch.setattr(unit, "LONG_VALUE_BYTES", 1)
    world = Owned(monkeypatch, seed=seed)
    traffic = Traffic(seed, 6, PARTITIONS, again=0.2)
    for message in [*traffic.registrations(), *traffic.take(250)]:
        topic = f"{world.routing.prefix}{message.topic}"
        world.produce(topic, message.value, message.key, message.partition, message.headers)
    await world.settle()
    assert len(world.published(world.routing.events)) > 100
    assert Observed(world).differences() == []


async def test_commands_keep_the_order_of_their_log_however_long_they_are(monkeypatch: pytest.MonkeyPatch):
    world = Owned(monkeypatch)
    world.register("c1")
    for number in range(40):
        note = "x" * unit.LONG_VALUE_BYTES * (number % 3 == 0)
        world.command(
            "ChangeStatus", "c1", f"k{number}", {"newStatus": "ACTIVE", "reason": "r", "note": note}
        )
    await world.settle()
    assert [result["commandId"] for result in world.results()] == ["reg-c1", *(f"k{n}" for n in range(40))]


async def turns_meanwhile(monkeypatch: pytest.MonkeyPatch, within_s: float) -> bool:
    """Whether the event loop turns while a command is read. within_s: how long the reading waits for it."""
    loop, seen = asyncio.get_running_loop(), []

    def read_later(value: bytes, headers: Headers, aliases: TypeAliases) -> ReceivedCommand:
        turned = threading.Event()
        loop.call_soon_threadsafe(turned.set)
        seen.append(turned.wait(within_s))
        return decode_command(value, headers, aliases)

    monkeypatch.setattr(commands, "decode_command", read_later)
    world = Owned(monkeypatch)
    world.register("c1", note="x" * (32 << 10))
    await world.settle()
    (turned,) = seen
    return turned


async def test_the_event_loop_turns_while_a_long_command_is_read(monkeypatch: pytest.MonkeyPatch):
    assert await turns_meanwhile(monkeypatch, within_s=60.0)


async def test_control_without_the_thread_it_does_not_turn(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unit, "LONG_VALUE_BYTES", math.inf)
    assert not await turns_meanwhile(monkeypatch, within_s=0.05)
