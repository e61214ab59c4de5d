"""TYPE_ALIASES: CloudEvents whose types have other names count like the contract's, on each input topic."""

import json
from typing import Any

import pytest

from tests.agents.world import World
from worker.wire.commands import COMMAND_MODELS
from worker.wire.type_aliases import READ

ALIASES = {
    "com.shop.Order": "OrderCompletedEvent",
    "com.shop.Return": "OrderReturnedEvent",
    "com.shop.Payment": "PaymentCompletedEvent",
    "com.shop.Profile": "UpdateProfile",
}
MONEY = {"amount": "10.00", "currency": "USD"}
PURCHASE = {"eventId": "e1", "customerId": "c1", "orderId": "o1", "occurredOn": "2026-11-01T12:00:00Z"}
DATA = {
    "com.shop.Order": {**PURCHASE, "totalAmount": MONEY},
    "com.shop.Return": {**PURCHASE, "returnId": "r1", "refundAmount": MONEY},
    "com.shop.Payment": {**PURCHASE, "paymentId": "p1", "amount": MONEY},
}
STRUCTURED, BINARY = "structured", "binary"
Message = tuple[bytes, tuple[tuple[str, bytes | None], ...]]


def as_cloud_event(mode: str, kind: str, data: Any) -> Message:
    """The value and the headers of a CloudEvent."""
    attributes = {"specversion": "1.0", "id": "1", "source": "/shop", "type": kind}
    if mode == STRUCTURED:
        return json.dumps(attributes | {"data": data}).encode(), ()
    return json.dumps(data).encode(), tuple(
        (f"ce_{name}", text.encode()) for name, text in attributes.items()
    )


def send(world: World, mode: str, kind: str, *, data: Any = None, key: str = "c1") -> None:
    topic = {
        "com.shop.Order": world.routing.orders,
        "com.shop.Return": world.routing.returns,
        "com.shop.Payment": world.routing.payments,
    }.get(kind, world.routing.commands)
    value, headers = as_cloud_event(mode, kind, data or DATA[kind])
    world.produce(topic, value, key, headers=headers)


def profile(command_type: str | None, name: str = "Grace") -> dict[str, Any]:
    return {
        "commandId": "k1",
        "commandType": command_type,
        "customerId": "c1",
        "issuedAt": "2026-11-24T10:00:00Z",
        "data": {"name": name, "email": "c1@example.com", "phone": None},
    }


def counted(world: World) -> tuple[int, int, int]:
    """Orders, payments and returned cents of the customer."""
    customer = world.customer("c1")
    return customer.order_count, customer.payment_count, world.types("c1").count("RewardPointsReversedEvent")


@pytest.mark.parametrize("key", ["c1", "another key"])
@pytest.mark.parametrize("registered", [True, False])
@pytest.mark.parametrize("mode", [STRUCTURED, BINARY])
def test_purchases_count_by_the_types_of_their_sender(mode: str, registered: bool, key: str):
    world = World(type_aliases=ALIASES)
    if registered:
        world.register("c1")
    for kind in DATA:
        send(world, mode, kind, key=key)
    world.run()
    if not registered:
        world.register("c1")
        world.run()
    assert counted(world) == (1, 1, 1)
    assert world.dead_letters() == []


@pytest.mark.parametrize("mode", [STRUCTURED, BINARY])
def test_without_the_setting_each_of_them_is_a_dead_letter(mode: str):
    world = World()
    world.register("c1")
    for kind in DATA:
        send(world, mode, kind)
    world.run()
    assert counted(world) == (0, 0, 0)
    assert [reason for reason, _ in world.dead_letters()] == ["UNKNOWN_TYPE"] * 3


def test_a_dead_letter_counts_when_it_is_sent_again_once_there_is_an_alias():
    before, world = World(), World(type_aliases=ALIASES)
    send(before, STRUCTURED, "com.shop.Order")
    [(reason, letter)] = before.run().dead_letters()
    assert reason == "UNKNOWN_TYPE"
    world.register("c1")
    world.produce(world.routing.orders, letter.value, letter.key)
    assert counted(world.run()) == (1, 0, 0)


def test_an_alias_of_another_topics_type_is_a_dead_letter_there():
    world = World(type_aliases=ALIASES)
    value, _ = as_cloud_event(STRUCTURED, "com.shop.Return", DATA["com.shop.Return"])
    world.produce(world.routing.orders, value, "c1")
    [(reason, _)] = world.run().dead_letters()
    assert reason == "UNKNOWN_TYPE"


@pytest.mark.parametrize("mode", [STRUCTURED, BINARY])
def test_a_payment_of_an_alias_finds_its_order(mode: str):
    world = World(payment_join=True, type_aliases=ALIASES)
    world.register("c1")
    nameless = {name: value for name, value in DATA["com.shop.Payment"].items() if name != "customerId"}
    send(world, mode, "com.shop.Payment", data=nameless, key="o1")
    world.run()
    send(world, mode, "com.shop.Order")
    assert counted(world.run())[:2] == (1, 1)


@pytest.mark.parametrize("own", ["UpdateProfile", None])
@pytest.mark.parametrize("mode", [STRUCTURED, BINARY])
def test_a_command_of_an_alias_is_the_same_command(mode: str, own: str | None):
    world = World(type_aliases=ALIASES)
    world.register("c1")
    world.run()
    send(world, mode, "com.shop.Profile", data=profile(own))
    world.produce(world.routing.commands, profile("UpdateProfile"), "c1")  # the same in plain JSON
    world.run()
    assert [each["outcome"] for each in world.results("c1")] == ["APPLIED", "APPLIED", "APPLIED"]
    assert world.customer("c1").name == "Grace"
    assert world.types("c1").count("CustomerProfileUpdatedEvent") == 1


@pytest.mark.parametrize("own", ["UpgradeMembership", "com.shop.Profile"])
def test_a_command_whose_type_is_not_the_one_of_its_alias_is_rejected(own: str):
    world = World(type_aliases=ALIASES)
    world.register("c1")
    world.run()
    send(world, STRUCTURED, "com.shop.Profile", data=profile(own))
    world.run()
    assert world.results("c1")[-1]["code"] == "VALIDATION_FAILED"


def test_what_waits_counts_though_its_alias_is_removed():
    world, without = World(type_aliases=ALIASES), World()
    for kind in DATA:
        send(world, STRUCTURED, kind)
    world.run()
    without.logs, without.positions, without.stores = world.logs, world.positions, world.stores
    without.register("c1")
    assert counted(without.run()) == (1, 1, 1)
    assert without.dead_letters() == []


def test_every_input_may_have_an_alias():
    world = World()
    consumed = {world.catalogue.orders.value, world.catalogue.returns.value, world.catalogue.payments.value}
    assert consumed | COMMAND_MODELS.keys() == READ
