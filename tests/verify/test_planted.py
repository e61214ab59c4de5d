"""Every kind of planted difference is found, in a small history that holds every kind of event and row."""

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from worker.verify.reading.contents import Record

ADDRESS = {"street": "S", "city": "C", "zipCode": "Z", "country": "US"}


STAMP = 1_800_000_000_000  # 2027-01-15: after everything that happens here


def history() -> Observed:
    """What can be read of it, fresh to be spoilt."""
    return Observed(_world())


@cache
def _world() -> World:
    """Two customers who did all that can be done, one input that waits, and one of each conflict."""
    world = World(seed=1)
    world.order("c1", "waits", "12.00", on="2026-10-01T00:00:00Z")
    world.run()
    world.register(
        "c1", email="one@example.com", address=ADDRESS, phone="+1 415 555 2671", birthDate="1980-01-01"
    )
    world.register("c2", email="two@example.com")
    world.run()
    world.register("c3", email="two@example.com")
    world.order("c1", "o1", "6000.00")
    world.payment("c1", "p1", "6000.00")
    world.order("c1", "o2", "4500.00", correlationId="corr")
    world.order("c2", "o3", "7.00", currency="EUR")
    world.order("c2", "o5", "7.00", currency="EUR", on="2010-06-01T00:00:00Z")
    world.order("c9", "o9", "1.00")
    world.returned("c9", "b9", "o9", "1.00")
    world.returned("c1", "b1", "o1", "1500.00")
    world.returned("c2", "b3", "o3", "7.00", currency="EUR")
    world.returned("c2", "b4", "o4", "7.00")
    world.run()
    world.order("c1", "o1", "1.00")
    world.payment("c1", "p1", "1.00")
    world.returned("c1", "b1", "o1", "1.00")
    world.returned("c2", "b5", "o3", "0.01", currency="EUR")
    world.produce(world.routing.orders, b"{", "c1")
    for n, (kind, data) in enumerate(COMMANDS):
        world.command(kind, "c1", f"k{n}", data, **({"actor": "support"} if n % 2 else {}))
        world.run()
    world.command("ChangeStatus", "c1", "k0", {"newStatus": "ACTIVE", "reason": "another"})
    return world.run()


COMMANDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("UpdateProfile", {"name": "B", "email": "new@example.com", "phone": None}),
    ("ChangeStatus", {"newStatus": "INACTIVE", "reason": "r"}),
    ("ChangeStatus", {"newStatus": "ACTIVE", "reason": "r"}),
    ("AddDeliveryAddress", {**ADDRESS, "street": "T", "label": "home"}),
    ("AddDeliveryAddress", {**ADDRESS, "street": "U", "isDefault": True}),
    ("RemoveDeliveryAddress", {"addressId": "5c3b4a62-1c2e-5e8d-8a35-000000000000"}),
    ("UpdatePreferences", {"marketingEmails": True, "notifications": {"enabledChannels": ["SMS", "EMAIL"]}}),
    ("AddPaymentMethod", {"type": "GIFT_CARD", "last4": "1234"}),
    ("RedeemPoints", {"points": 5, "reason": "r", "redemptionId": "r1", "orderId": "o1"}),
    ("RedeemPoints", {"points": 5_000, "reason": "r", "redemptionId": "r2"}),
    ("AddPaymentMethod", {"type": "GIFT_CARD", "last4": "12345"}),
    ("CancelRedemption", {"redemptionId": "r1", "reason": "order failed"}),
    ("CancelRedemption", {"redemptionId": "r1", "reason": "asked again"}),
    ("RedeemPoints", {"points": 5, "reason": "r", "redemptionId": "r1"}),
    ("CancelRedemption", {"redemptionId": "r2", "reason": "never redeemed"}),
    ("AdjustPoints", {"points": 50, "reason": "goodwill", "adjustmentId": "a1"}),
    ("AdjustPoints", {"points": -7, "reason": "counted twice", "adjustmentId": "a2"}),
    ("AdjustPoints", {"points": -5_000, "reason": "too much", "adjustmentId": "a3"}),
)


def found(spoil: Callable[[Observed], None]) -> list[str]:
    observed = history()
    spoil(observed)
    return observed.differences()


def altered(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}0"
        case list():
            return [*value, "X"]
        case dict():
            return {**value, "x": 1}
    return "X"


def replaced(log: list[Record], place: int, value: Any) -> None:
    log[place] = log[place]._replace(value=json.dumps(value).encode())


def log_of(observed: Observed, topic: str, customer: str) -> list[Record]:
    return next(
        log
        for (name, _), log in observed.logs.items()
        if name == topic and any(r.key == customer.encode() for r in log)
    )


def test_the_history_itself_is_clean_and_holds_every_kind():
    observed = history()
    assert observed.differences() == []
    kinds = {json.loads(record.value or b"")["type"] for record in observed.log("customer.events")}
    assert kinds >= {
        "CustomerCreatedEvent",
        "CustomerProfileUpdatedEvent",
        "CustomerStatusChangedEvent",
        "MembershipLevelUpgradedEvent",
        "CustomerVipUpgradedEvent",
        "DeliveryAddressAddedEvent",
        "NotificationPreferencesUpdatedEvent",
        "RewardPointsEarnedEvent",
        "RewardPointsRedeemedEvent",
        "RewardPointsReversedEvent",
        "RewardPointsRestoredEvent",
        "RewardPointsAdjustedEvent",
        "CustomerSpendingUpdatedEvent",
    }


def every_event() -> list[tuple[int, int]]:
    return [
        (number, place)
        for (topic, number), log in history().logs.items()
        if topic == "customer.events"
        for place in range(len(log))
    ]


@pytest.mark.parametrize(("number", "place"), every_event())
def test_a_missing_event_is_found(number, place):
    assert found(lambda observed: observed.logs["customer.events", number].pop(place) and None)


@pytest.mark.parametrize(("number", "place"), every_event())
def test_a_doubled_event_is_found(number, place):
    def spoil(observed: Observed) -> None:
        log = observed.logs["customer.events", number]
        log.append(log[place])

    assert any("doubled" in line for line in found(spoil))


@pytest.mark.parametrize(("number", "place"), every_event())
def test_every_altered_field_of_every_event_is_found(number, place):
    clean = history()
    event = json.loads(clean.logs["customer.events", number][place].value or b"")
    fields = [(None, name) for name in event if name != "data"] + [("data", name) for name in event["data"]]
    for inside, name in fields:
        observed = history()
        spoilt = json.loads(json.dumps(event))
        holder = spoilt if inside is None else spoilt["data"]
        holder[name] = altered(holder[name])
        replaced(observed.logs["customer.events", number], place, spoilt)
        assert observed.differences(), f"{name} of {event['type']}"


def test_a_field_that_does_not_belong_in_an_event_is_found():
    def spoil(observed: Observed) -> None:
        log = log_of(observed, "customer.events", "c1")
        event = json.loads(log[0].value or b"")
        event["data"]["cardNumber"] = "1"
        replaced(log, 0, event)

    assert any("data.cardNumber" in line for line in found(spoil))


def test_an_event_with_another_key_or_header_is_found():
    def key(observed: Observed) -> None:
        log = log_of(observed, "customer.events", "c1")
        log[0] = log[0]._replace(key=b"c2")

    def header(observed: Observed) -> None:
        log = log_of(observed, "customer.events", "c1")
        log[0] = log[0]._replace(headers=())

    assert any("(record key)" in line for line in found(key))
    assert any("(headers)" in line for line in found(header))


def test_an_event_without_an_input_is_found():
    def spoil(observed: Observed) -> None:
        log = log_of(observed, "customer.events", "c1")
        event = json.loads(log[-1].value or b"")
        event |= {"id": "another", "causationid": "nobody", "sequence": str(int(event["sequence"]) + 1)}
        log.append(log[-1]._replace(value=json.dumps(event).encode(), offset=log[-1].offset + 1))

    assert any("no command caused it" in line or "no order caused it" in line for line in found(spoil))


def test_a_missing_or_doubled_result_is_found():
    def missing(observed: Observed) -> None:
        log_of(observed, "customer.command-results", "c1").pop()

    def doubled(observed: Observed) -> None:
        log = log_of(observed, "customer.command-results", "c1")
        log.append(log[0])

    assert any("results for" in line for line in found(missing))
    assert any("results for" in line for line in found(doubled))


def test_every_altered_field_of_every_result_is_found():
    count = len(log_of(history(), "customer.command-results", "c1"))
    for place in range(count):
        result = json.loads(log_of(history(), "customer.command-results", "c1")[place].value or b"")
        for name in result.keys() - {"detail", "errors"}:  # words for people
            observed = history()
            log = log_of(observed, "customer.command-results", "c1")
            replaced(log, place, {**result, name: altered(result[name])})
            assert observed.differences(), f"{name} of result {place}"


def rows(observed: Observed, table: str) -> dict[bytes, bytes]:
    return {key: value for tables in observed.tables for key, value in tables[table].items()}


def spoil_row(observed: Observed, table: str, key: bytes, value: bytes | None) -> None:
    for tables in observed.tables:
        if key in tables[table]:
            if value is None:
                del tables[table][key]
            else:
                tables[table][key] = value


def test_every_altered_field_of_a_customer_is_found():
    row = json.loads(rows(history(), "customers")[b"c1"])
    assert "lifetime_reversed" in row["customer"]
    assert "filled" in row["customer"]
    # When the worker processed it, and what only an earlier version leaves out.
    for name in row["customer"].keys() - {"updated_at", "tracked"}:
        observed = history()
        spoilt = {**row, "customer": {**row["customer"], name: altered(row["customer"][name])}}
        spoil_row(observed, "customers", b"c1", json.dumps(spoilt).encode())
        assert observed.differences(), name


def test_every_altered_figure_of_a_customers_spending_is_found():
    row = json.loads(rows(history(), "customers")[b"c1"])
    spent = row["customer"]["spending"]["USD"]
    assert {"returned", "returned_days"} < spent.keys()
    for name in spent:
        other = {**spent[name], "20000": 1} if isinstance(spent[name], dict) else altered(spent[name])
        spoilt = {**row, "customer": {**row["customer"], "spending": {"USD": {**spent, name: other}}}}
        value = json.dumps(spoilt).encode()
        assert found(partial(spoil_row, table="customers", key=b"c1", value=value)), name


@pytest.mark.parametrize("name", ["email_claim", "waiting", "queued"])
def test_every_other_altered_field_of_a_customers_row_is_found(name):
    key = b"c9" if name == "waiting" else b"c1"
    row = json.loads(rows(history(), "customers")[key])
    row[name] = altered(row.get(name, 0))
    assert found(lambda observed: spoil_row(observed, "customers", key, json.dumps(row).encode()))


# Remembered results may be forgotten after seven days.
@pytest.mark.parametrize("table", ["customers", "ledger", "day_totals", "waiting", "email_claims"])
def test_a_lost_row_is_found(table):
    # A registration's line may be missing, because an earlier release wrote none.
    keys = [key for key in rows(history(), table) if not key.endswith(b"\0K\x001")]
    assert keys
    for key in keys:
        observed = history()
        spoil_row(observed, table, key, None)
        assert observed.differences(), key


@pytest.mark.parametrize("amounts", ["{}", '{"14761": 701}', '{"14761": 700, "14762": 0}'])
def test_altered_totals_of_old_days_are_found(amounts):
    [(key, value)] = rows(history(), "day_totals").items()
    assert json.loads(value) == {"14761": 700}
    assert found(lambda observed: spoil_row(observed, "day_totals", key, amounts.encode()))


def test_every_altered_field_of_every_ledger_line_is_found():
    for key, value in rows(history(), "ledger").items():
        line = json.loads(value)
        for place in range(len(line)):
            spoilt = [altered(each) if n == place else each for n, each in enumerate(line)]
            observed = history()
            spoil_row(observed, "ledger", key, json.dumps(spoilt).encode())
            assert observed.differences(), (key, place)


def test_every_altered_field_of_what_a_line_says_of_the_customer_is_found():
    untold = 0  # without events, nothing tells when an input was processed
    for key, value in rows(history(), "ledger").items():
        line = json.loads(value)
        change = line[8]
        silent = key.split(b"\0")[1] == b"P" or "events" not in (change[6] or {"events": ()})
        for place, each in enumerate(change):
            other = {**(each or {}), "actor": "mallory"} if place == 6 else altered(each)
            observed = history()
            spoilt = [*line[:8], [*change[:place], other, *change[place + 1 :]]]
            spoil_row(observed, "ledger", key, json.dumps(spoilt).encode())
            if place == 1 and silent:
                untold += 1
            else:
                assert observed.differences(), (key, place)
    assert untold


def test_lines_of_an_earlier_release_say_less_and_are_no_difference():
    observed = history()
    for key, value in rows(observed, "ledger").items():
        kind = key.split(b"\0")[1]
        spoil_row(
            observed, "ledger", key, None if kind == b"K" else json.dumps(json.loads(value)[:8]).encode()
        )
    assert observed.differences() == []


def test_an_earlier_release_that_wrote_again_left_versions_without_a_line():
    observed = history()
    (key, value), *_ = (row for row in rows(observed, "ledger").items() if row[0].startswith(b"c1\0O"))
    spoil_row(observed, "ledger", key, json.dumps(json.loads(value)[:8]).encode())
    assert observed.differences() == []


def test_an_altered_remembered_result_is_found():
    key = next(iter(rows(history(), "command_results")))
    row = json.loads(rows(history(), "command_results")[key])
    row["result"]["version"] = 99
    spoilt = json.dumps(row).encode()
    lines = found(lambda observed: spoil_row(observed, "command_results", key, spoilt))
    assert any("remembered result" in line for line in lines)


def test_an_email_owned_twice_is_found():
    def spoil(observed: Observed) -> None:
        row = json.loads(rows(observed, "customers")[b"c2"])
        row["customer"]["email"] = "new@example.com"
        spoil_row(observed, "customers", b"c2", json.dumps(row).encode())

    assert any(line.startswith("email owned twice: customer c1 and customer c2") for line in found(spoil))


def test_a_claim_without_owner_is_found():
    def spoil(observed: Observed) -> None:
        observed.tables[0]["email_claims"][b"f" * 64] = b'{"customer_id":"c1","claim_id":"k77"}'

    assert any("claim without owner: customer c1" in line for line in found(spoil))


def test_a_claim_message_that_no_command_made_is_found():
    def spoil(observed: Observed) -> None:
        log = next(
            log for (topic, _), log in observed.logs.items() if topic == "customer.email-claims" and log
        )
        log.append(
            log[0]._replace(offset=99, value=b'{"type":"ClaimEmail","claim_id":"k99","customer_id":"c1"}')
        )

    assert any("email claim" in line and "k99" in line for line in found(spoil))


def spoil_dead_letter(change: Callable[[list[Record]], object]) -> list[str]:
    def spoil(observed: Observed) -> None:
        change(observed.logs["customer.dead-letters", 0])

    return [line for line in found(spoil) if line.startswith("dead letter")]


def change_one(place: int, change: Callable[[Record], Record], log: list[Record]) -> None:
    log[place] = change(log[place])


def with_reason(record: Record, reason: bytes) -> Record:
    return record._replace(headers=[(k, reason if k == "dlq-reason" else v) for k, v in record.headers])


def test_a_missing_doubled_or_altered_dead_letter_is_found():
    count = len(history().logs["customer.dead-letters", 0])
    assert count == 5
    for place in range(count):
        assert "missing" in spoil_dead_letter(partial(lambda place, log: log.pop(place), place))[0]
        assert "doubled" in spoil_dead_letter(partial(lambda place, log: log.append(log[place]), place))[0]
        changes: dict[str, Callable[[Record], Record]] = {
            "reason": lambda r: with_reason(r, b"INVALID"),
            "(value)": lambda r: r._replace(value=b"other"),
            "(record key)": lambda r: r._replace(key=b"other"),
            "(headers)": lambda r: r._replace(headers=[*r.headers, ("more", b"")]),
        }
        for what, change in changes.items():
            assert what in spoil_dead_letter(partial(change_one, place, change))[0]


def test_a_dead_letter_of_a_good_input_is_found():
    def add(log: list[Record]) -> None:
        headers = [
            (k, {"dlq-offset": b"0", "dlq-partition": b"0", "dlq-topic": b"customer.commands"}.get(k, v))
            for k, v in log[0].headers
        ]
        log.append(log[0]._replace(headers=headers))

    assert any("the input is good" in line for line in spoil_dead_letter(add))


def test_an_order_that_was_swallowed_is_found():
    def spoil(observed: Observed) -> None:
        log = log_of(observed, "order.completed", "c2")
        order = json.loads(log[0].value or b"") | {"orderId": "swallowed", "customerId": "c2"}
        number, offset = log[0].partition, log[-1].offset + 1
        log.append(Record("order.completed", number, offset, b"c2", json.dumps(order).encode(), (), STAMP))
        observed.positions[number]["order.completed"] = offset + 1

    assert any("order swallowed" in line and "did not count" in line for line in found(spoil))


def swallowed_return(amount: str, order_id: str) -> Callable[[Observed], None]:
    def spoil(observed: Observed) -> None:
        log = log_of(observed, "order.returned", "c1")
        back = json.loads(log[0].value or b"") | {
            "returnId": "swallowed",
            "orderId": order_id,
            "refundAmount": {"amount": amount, "currency": "USD"},
        }
        number, offset = log[0].partition, log[-1].offset + 1
        log.append(Record("order.returned", number, offset, b"c1", json.dumps(back).encode(), (), STAMP))
        observed.positions[number]["order.returned"] = offset + 1

    return spoil


def test_a_return_that_was_swallowed_is_found():
    lines = [found(swallowed_return("1.00", order_id)) for order_id in ("o1", "unknown")]
    assert all(any("return swallowed" in line and "neither" in line for line in each) for each in lines)
    assert any("missing, RETURN_CONFLICT" in line for line in found(swallowed_return("4500.01", "o1")))


def test_a_return_that_was_too_much_at_first_and_fits_in_the_end_verifies_clean():
    world = World(seed=1)
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.run()
    for amount in ("11.00", "4.00", "11.00", "4.00"):
        world.returned("c1", "b1", "o1", amount)
    world.run()
    observed = Observed(world)
    assert observed.differences() == []
    assert len(observed.log("customer.dead-letters")) == 2


def test_a_repeat_of_a_return_that_waited_in_vain_verifies_clean_when_another_with_its_id_counted():
    world = World()
    for _ in range(2):
        world.returned("c1", "b1", "o1", "10.00")
    world.order("c1", "o1", "5.00")
    world.register("c1")
    world.run()
    world.returned("c1", "b1", "o1", "4.00")
    observed = Observed(world.run())
    assert observed.differences() == []
    assert [dict(each.headers)["dlq-reason"] for each in observed.log("customer.dead-letters")] == [
        b"RETURN_CONFLICT"
    ]


def test_a_return_that_fits_and_was_refused_all_the_same_is_found():
    def spoil(observed: Observed) -> None:
        swallowed_return("1.00", "o1")(observed)
        source = log_of(observed, "order.returned", "c1")[-1]
        log = observed.logs["customer.dead-letters", 0]
        headers = dict(next(r for r in log if r.key == b"c1").headers) | {
            "dlq-reason": b"RETURN_CONFLICT",
            "dlq-topic": b"order.returned",
            "dlq-offset": b"%d" % source.offset,
        }
        log.append(log[0]._replace(key=b"c1", value=source.value, headers=list(headers.items())))

    assert any("the input is good" in line for line in found(spoil))


def test_a_return_that_still_waits_though_its_order_has_counted_is_found():
    def spoil(observed: Observed) -> None:
        for (topic, _), log in observed.logs.items():
            for place, record in enumerate(log):
                if topic == "order.returned" and b'"b4"' in (record.value or b""):
                    replaced(log, place, json.loads(record.value or b"") | {"orderId": "o3"})

    assert any("return b4 still waits" in line for line in found(spoil))


def test_a_line_of_the_report_holds_no_personal_data():
    def spoil(observed: Observed) -> None:
        row = json.loads(rows(observed, "customers")[b"c1"])
        row["customer"] |= {"name": "Other Name", "email": "other@example.com", "phone": "+4915112345678"}
        spoil_row(observed, "customers", b"c1", json.dumps(row).encode())
        log_of(observed, "customer.events", "c1").pop(0)

    text = "\n".join(found(spoil))
    assert "email" in text
    assert not any(secret in text for secret in ("@example", "Other Name", "+49", "Ada"))
