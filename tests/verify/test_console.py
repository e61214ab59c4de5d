"""verify and dead-letters as their user sees them, on a real Kafka with a real worker."""

import json
import random
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.installation import (
    FOREIGN_PARTITIONER,
    Installation,
    Message,
    command,
    order,
    payment,
    registration,
)

CUSTOMERS = [f"c{number}" for number in range(20)]


def run(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return installation.console(*arguments, within_s=90.0)


def traffic(seed: int, prefix: str, count: int) -> Iterator[Message]:
    """A mix of everything, every id with the prefix; some of it twice, some of it in conflict."""
    rng = random.Random(seed)
    for number in range(count):
        customer, name = rng.choice(CUSTOMERS), f"{prefix}{number}"
        messages = (
            order(customer, name, rng.randrange(900_000)),
            order(customer, f"{prefix}{rng.randrange(count)}", 1_000),
            payment(customer, name, f"order {name}", rng.randrange(9_000)),
            command(customer, "RedeemPoints", {"points": 1, "reason": "r", "redemptionId": name}, name),
            command(customer, "UpdateProfile", profile(rng), name),
            registration(customer, f"{rng.choice(CUSTOMERS)}@example.org", name),
        )
        yield from [rng.choices(messages, (6, 1, 3, 1, 1, 1))[0]] * rng.choice((1, 1, 1, 2))


def profile(rng: random.Random) -> dict[str, Any]:
    return {"name": "Other", "email": f"{rng.choice(CUSTOMERS)}@example.com", "phone": None}


def wait_for_rest(installation: Installation, messages: list[Message]) -> None:
    """Wait until every command was answered and nothing new was published for a while."""
    commands = sum(message.topic == "customer.commands" for message in messages)
    seen = [-1]

    def rests() -> bool:
        published = len(installation.read("customer.events"))
        unchanged, seen[0] = published == seen[0], published
        return unchanged and len(installation.read("customer.command-results")) >= commands

    installation.wait_until(rests)


def dead_letters(installation: Installation) -> list[dict[str, Any]]:
    listed = run(installation, "dead-letters", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


def verified(installation: Installation) -> dict[str, Any]:
    found = run(installation, "verify", "--json")
    assert found.returncode in (0, 1), found.stderr
    report: dict[str, Any] = json.loads(found.stdout)
    assert (found.returncode == 1) == bool(report["differenceCount"])
    return report


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_mixed_run_verifies_clean_while_it_runs_and_when_it_rests_and_one_forged_event_does_not(
    installation,
):
    installation.start_workers("a", "b")
    before, during = list(traffic(1, "x", 800)), list(traffic(2, "y", 800))
    installation.send(before)
    producer = installation.producer()
    for message in during:
        installation.produce(producer, message)
    assert verified(installation)["differences"] == []
    assert producer.flush(30) == 0
    foreign = [order(customer, f"foreign {customer}", 500) for customer in CUSTOMERS]
    installation.send([*foreign, *foreign], FOREIGN_PARTITIONER)
    installation.send([Message("order.completed", b"c1", b"{")])
    wait_for_rest(installation, before + during)
    report = verified(installation)
    assert report["differences"] == []
    assert report["notVerifiable"] == []
    assert report["counts"]["customers"] > 5

    forged = installation.read("customer.events")[0]
    event = json.loads(forged.value or b"") | {"id": "forged", "sequence": "100000"}
    headers = list(forged.headers.items())
    producer.produce(
        installation.topic("customer.events"),
        json.dumps(event).encode(),
        forged.key,
        partition=forged.partition,
        headers=headers,
    )
    assert producer.flush(30) == 0
    printed = run(installation, "verify")
    assert printed.returncode == 1
    assert "is followed by 100000" in printed.stdout
    assert "Traceback" not in printed.stderr


@pytest.mark.timeout(240)
def test_a_dead_letter_goes_back_once_mended_and_then_counts(installation, tmp_path):
    installation.start_workers("a")
    good = order("c1", "o1", 12_300)
    broken = good._replace(value=good.value.replace(b'"123.00"', b'"12x.00"'), headers=[("trace", b"t1")])
    installation.send([registration("c1"), broken, Message("order.completed", b"c2", b"{")])
    installation.wait_until(lambda: len(installation.read("customer.dead-letters")) == 2)
    invalid = next(each for each in dead_letters(installation) if each["reason"] == "INVALID")
    assert invalid["source"].startswith(installation.topic("order.completed"))
    assert "value" not in invalid
    mended = tmp_path / "mended.json"
    mended.write_bytes(good.value)
    offset = str(invalid["offset"])

    first = run(installation, "dead-letters", "replay", "--offset", offset, "--edit", str(mended))
    second = run(installation, "dead-letters", "replay", "--offset", offset, "--edit", str(mended))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "Sent 1 back; 0 had been" in first.stderr
    assert "Sent 0 back; 1 had been" in second.stderr
    sent = [each for each in installation.read("order.completed") if "dlq-replayed-from" in each.headers]
    assert [(each.key, each.value) for each in sent] == [(b"c1", good.value)]
    assert set(sent[0].headers) == {"trace", "dlq-replayed-from", "inbox-source-timestamp"}
    assert (sent[0].headers["trace"], sent[0].headers["dlq-replayed-from"]) == (b"t1", f"0/{offset}".encode())
    installation.wait_until(lambda: installation.customers()["c1"].get("points") == 12)
    assert verified(installation)["differences"] == []

    again = run(installation, "dead-letters", "replay", "--reason", "UNDECODABLE", "--again")
    assert "Sent 1 back" in again.stderr
    installation.wait_until(lambda: len(installation.read("customer.dead-letters")) == 3)
    printed = run(installation, "dead-letters", "list", "--reason", "UNDECODABLE")
    assert "2 UNDECODABLE" in printed.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--offset", "7"], "no such dead letter at offset 7"),
        ([], "choose dead letters with --offset"),
        (["--reason", "INVALID", "--edit", "x"], "exactly one --offset"),
    ],
)
def test_a_replay_that_cannot_be_done_says_so_and_sends_nothing(installation, arguments, sentence):
    tried = run(installation, "dead-letters", "replay", *arguments)
    assert tried.returncode != 0
    assert sentence in tried.stderr
    assert "Traceback" not in tried.stderr
