"""The customer's way through commands, orders and the email saga, on a simulated log."""

import pytest

from tests.agents.world import PARTITIONS, World


def test_a_registration_is_answered_and_published():
    world = World()
    world.register("c1", address={"street": "S", "city": "C", "zipCode": "Z", "country": "US"})
    world.run()
    (result,) = world.results("c1")
    assert result == {
        "commandId": "reg-c1",
        "commandType": "RegisterCustomer",
        "customerId": "c1",
        "outcome": "APPLIED",
        "version": 1,
    }
    assert world.types("c1") == ["CustomerCreatedEvent", "DeliveryAddressAddedEvent"]
    assert [event["sequence"] for event in world.events("c1")] == ["1", "2"]


def test_a_command_delivered_again_yields_the_first_result_and_changes_nothing():
    world = World()
    for _ in range(3):
        world.register("c1")
        world.run()
    first, *others = world.results("c1")
    assert others == [first, first]
    assert world.types("c1") == ["CustomerCreatedEvent"]


def test_a_command_id_used_for_another_command_is_a_conflict_and_the_first_result_stays():
    world = World()
    world.register("c1")
    world.run()
    world.order("c1", "o1", "10.00")
    world.run()
    world.register("c1", email="other@example.com")
    world.run()
    world.register("c1")
    world.run()
    first, conflict, again = world.results("c1")
    assert (conflict["outcome"], conflict["code"], conflict["version"]) == (
        "REJECTED",
        "IDEMPOTENCY_CONFLICT",
        2,
    )
    assert again == first


def test_of_many_registrations_of_one_email_exactly_one_is_applied():
    world = World(seed=7, max_batch=3)
    for n in range(50):
        world.register(f"c{n}", email="One@Example.com ")
    world.run()
    outcomes = [(r["outcome"], r.get("code"), r["version"]) for r in world.results()]
    assert outcomes.count(("APPLIED", None, 1)) == 1
    assert outcomes.count(("REJECTED", "CUSTOMER_EMAIL_EXISTS", None)) == 49


def test_an_email_of_the_customers_own_partition_is_decided_in_the_transaction_of_the_command():
    world = World(max_batch=1)
    home = world.routing.home("c1")[0]
    email = world.email("a", "c1", here=True)
    world.register("c1", email=email)
    world.one_batch(home)
    assert world.results("c1")[0]["outcome"] == "APPLIED"
    world.register("c2", email=email)
    world.run()
    world.command("EraseCustomer", "c1", "e1", {"reason": "R"})
    world.run()
    world.register("c3", email=email)
    world.run()
    assert world.results("c2")[0]["code"] == "CUSTOMER_EMAIL_EXISTS"
    assert world.results("c3")[0]["outcome"] == "APPLIED"


def test_an_email_of_another_partition_is_decided_there():
    world = World(max_batch=1)
    world.register("c1", email=world.email("a", "c1", here=False))
    world.one_batch(world.routing.home("c1")[0])
    assert world.results("c1") == []
    world.run()
    assert world.results("c1")[0]["outcome"] == "APPLIED"


def test_commands_behind_a_pending_claim_wait_and_keep_their_order():
    world = World(max_batch=1)
    world.register("c1")
    world.command("UpdateProfile", "c1", "u1", {"name": "B", "email": "b@example.com", "phone": None})
    world.command("ChangeStatus", "c1", "s1", {"newStatus": "INACTIVE", "reason": "r"})
    world.command("UpdateProfile", "c1", "u2", {"name": "C", "email": "c@example.com", "phone": None})
    world.run()
    assert [(r["commandId"], r["outcome"], r["version"]) for r in world.results("c1")] == [
        ("reg-c1", "APPLIED", 1),
        ("u1", "APPLIED", 2),
        ("s1", "APPLIED", 3),
        ("u2", "APPLIED", 4),
    ]
    row = world.row("c1")
    assert (row.pending_claim, row.queued, world.customer("c1").email) == (None, 0, "c@example.com")


@pytest.mark.parametrize("here", [True, False])
def test_an_email_freed_by_a_profile_change_can_be_registered_again(here):
    world = World()
    a, b = (world.email(name, "c1", here) for name in "ab")
    world.register("c1", email=a)
    world.run()
    world.command("UpdateProfile", "c1", "u1", {"name": "A", "email": b, "phone": None})
    world.run()
    world.register("c2", email=a)
    world.register("c3", email=b)
    world.run()
    assert world.results("c2")[0]["outcome"] == "APPLIED"
    assert world.results("c3")[0]["code"] == "CUSTOMER_EMAIL_EXISTS"


@pytest.mark.parametrize("here", [True, False])
def test_two_customers_that_swap_emails_are_both_rejected(here):
    world = World()
    a, b = (world.email(name, "c1", here) for name in "ab")
    world.register("c1", email=a)
    world.register("c2", email=b)
    world.run()
    world.command("UpdateProfile", "c1", "u1", {"name": "A", "email": b, "phone": None})
    world.command("UpdateProfile", "c2", "u2", {"name": "B", "email": a, "phone": None})
    world.run()
    assert [r.get("code") for c in ("c1", "c2") for r in world.results(c)[1:]] == [
        "CUSTOMER_EMAIL_EXISTS"
    ] * 2


@pytest.mark.parametrize("here", [True, False])
def test_going_back_to_an_earlier_email_keeps_it_claimed(here):
    world = World(max_batch=1)
    a, b = (world.email(name, "c1", here) for name in "ab")
    world.register("c1", email=a)
    world.command("UpdateProfile", "c1", "u1", {"name": "A", "email": b, "phone": None})
    world.command("UpdateProfile", "c1", "u2", {"name": "A", "email": a, "phone": None})
    world.run()
    world.register("c2", email=a)
    world.register("c3", email=b)
    world.run()
    assert world.results("c2")[0]["code"] == "CUSTOMER_EMAIL_EXISTS"
    assert world.results("c3")[0]["outcome"] == "APPLIED"


def test_the_expected_version_is_checked_when_the_command_arrives_not_when_its_email_is_granted():
    world = World(max_batch=1)
    world.register("c1")
    world.run()
    data = {"name": "B", "email": world.email("b", "c1", here=False), "phone": None}
    world.command("UpdateProfile", "c1", "u1", data, expectedVersion=1)
    world.one_batch(world.routing.home("c1")[0])
    world.order("c1", "o1", "10.00")
    world.run()
    assert world.results("c1")[1]["outcome"] == "APPLIED"
    assert world.customer("c1").version == 3


def test_orders_wait_for_the_registration_and_are_applied_by_occurred_on_after_its_result():
    world = World()
    world.order("c1", "o2", "600.00", on="2026-11-02T12:00:00Z")
    world.order("c1", "o1", "15.00", on="2026-11-01T12:00:00Z")
    world.payment("c1", "p1", "15.00")
    world.run()
    assert world.row("c1").waiting == 3
    world.register("c1")
    world.run()
    assert world.results("c1")[0]["version"] == 1
    assert [(e["type"], e["causationid"]) for e in world.events("c1")] == [
        ("CustomerCreatedEvent", "reg-c1"),
        ("CustomerSpendingUpdatedEvent", "e-o1"),
        ("RewardPointsEarnedEvent", "e-o1"),
        ("CustomerSpendingUpdatedEvent", "e-o2"),
        ("RewardPointsEarnedEvent", "e-o2"),
        ("MembershipLevelUpgradedEvent", "e-o2"),
    ]
    row = world.row("c1")
    assert (
        row.waiting,
        world.customer("c1").version,
        world.customer("c1").points,
        world.customer("c1").payment_count,
    ) == (
        0,
        4,
        61,
        1,
    )


def test_a_rejected_registration_leaves_the_orders_waiting():
    world = World()
    world.register("c1", email="a@example.com")
    world.run()
    world.order("c2", "o1", "100.00")
    world.register("c2", email="a@example.com")
    world.run()
    assert world.row("c2").waiting == 1
    world.register("c2", email="b@example.com", command_id="again")
    world.run()
    assert world.customer("c2").points == 10


def test_a_waiting_order_repeated_is_kept_once_and_another_amount_is_a_conflict():
    world = World()
    for amount in ("10.00", "10.00", "20.00"):
        world.order("c1", "o1", amount)
    world.run()
    assert world.row("c1").waiting == 1
    assert [reason for reason, _ in world.dead_letters()] == ["ORDER_CONFLICT"]


def test_the_thousand_and_first_waiting_input_is_a_dead_letter():
    world = World(max_batch=2_000)
    for n in range(1_001):
        world.order("c1", f"o{n}", "1.00")
    world.run()
    assert world.row("c1").waiting == 1_000
    assert [reason for reason, _ in world.dead_letters()] == ["WAITING_LIMIT"]


def test_an_order_counts_once_and_another_amount_is_a_dead_letter_with_its_position():
    world = World()
    world.register("c1")
    world.run()
    world.order("c1", "o1", "25.00")
    world.order("c1", "o1", "25.00")
    world.order("c1", "o1", "26.00")
    world.run()
    assert world.customer("c1").points == 2
    ((reason, record),) = world.dead_letters()
    headers = dict(record.headers)
    source = world.logs[world.routing.orders, world.routing.home("c1")[0]][2]
    assert reason == "ORDER_CONFLICT"
    assert record.value == source.value
    assert record.key == b"c1"
    assert (headers["dlq-topic"], headers["dlq-offset"]) == (b"order.completed", b"2")


@pytest.mark.parametrize("key", ["order-key", None])
def test_an_input_with_another_key_or_partition_goes_through_the_inbox_once(key):
    world = World()
    world.register("c1")
    world.run()
    home = world.routing.home("c1")[0]
    world.payment("c1", "p1", "5.00", key="order-key")
    value = world.records(world.routing.payments)[0].value
    world.produce(world.routing.payments, value, key, partition=(home + 1) % PARTITIONS)
    world.run()
    assert len(world.records(world.routing.inbox)) >= 1
    assert world.customer("c1").payment_count == 1


def test_a_foreign_input_that_becomes_a_dead_letter_names_its_first_position_and_key():
    world = World()
    world.register("c1")
    world.run()
    world.order("c1", "o1", "25.00")
    world.run()
    bad = (world.records(world.routing.orders)[0].value or b"").replace(b"25.00", b"27.00")
    away = (world.routing.home("c1")[0] + 1) % PARTITIONS
    world.produce(world.routing.orders, bad, "shop-7", partition=away, headers=(("h", b"1"),))
    world.run()
    ((reason, record),) = world.dead_letters()
    headers = dict(record.headers)
    assert reason == "ORDER_CONFLICT"
    assert record.key == b"shop-7"
    assert record.value == bad
    assert (headers["dlq-topic"], headers["dlq-partition"], headers["dlq-offset"]) == (
        b"order.completed",
        b"%d" % away,
        b"0",
    )
    assert headers["h"] == b"1"
    assert not any(name.startswith("inbox-") for name in headers)


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_goes_on():
    world = World()
    world.register("c1")
    for bad in (b"{", b"[]", b"\xff", b'{"eventId":"e"}', b"x" * 1_048_577):
        world.produce(world.routing.orders, bad, "c1")
    world.produce(world.routing.orders, None, "c1")
    world.produce(world.routing.email_claims, b"junk", "h")
    world.produce(world.routing.inbox, b"junk", "c1")
    world.order("c1", "o1", "10.00")
    world.run()
    reasons = sorted(reason for reason, _ in world.dead_letters())
    assert reasons == [
        "INVALID",
        "TOO_LARGE",
        "UNDECODABLE",
        "UNDECODABLE",
        "UNDECODABLE",
        "UNDECODABLE",
        "UNKNOWN_TYPE",
    ]
    assert world.customer("c1").points == 1


def test_a_dead_letter_with_a_card_number_carries_a_digest():
    world = World()
    world.produce(world.routing.orders, b'{"note": "4111 1111 1111 1111"}', "c1")
    world.run()
    ((_, record),) = world.dead_letters()
    assert record.value is not None
    assert len(record.value) == 64
    assert b"4111" not in record.value


def test_an_invalid_command_is_answered_and_an_unreadable_one_is_a_dead_letter():
    world = World()
    world.command("RegisterCustomer", "c1", "k1", {"name": "", "email": "no"})
    world.command("Dance", "c1", "k2", {})
    world.produce(world.routing.commands, {"commandId": "k3"}, "c1")
    world.run()
    first, second = world.results("c1")
    assert (first["code"], first["version"], first["commandType"]) == (
        "VALIDATION_FAILED",
        None,
        "RegisterCustomer",
    )
    assert {error["field"] for error in first["errors"]} == {"name", "email"}
    assert (second["code"], second["commandType"]) == ("VALIDATION_FAILED", None)
    assert [reason for reason, _ in world.dead_letters()] == ["INVALID"]
