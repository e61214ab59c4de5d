"""Whatever record a producer may write: the same process goes on, and its neighbours on the partition are served at once."""

import hashlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from tests.integration.installation import Installation, Message, command, order, registration
from tests.integration.promptly import assert_prompt, neighbour_of

pytestmark = pytest.mark.timeout(400)

MIB = 1 << 20
ODD = "poison"  # the customer that the records are about
NEXT = neighbour_of(ODD)  # another customer of its partition
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Neighbour:
    """Another customer of the same partition, and what it sees published."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._consumer = Consumer(
            {
                "bootstrap.servers": installation.bootstrap,
                "group.id": uuid.uuid4().hex,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )
        self._consumer.subscribe([installation.topic("customer.events")])
        self._seen: set[str] = set()

    def is_served_after_s(self, customer: str) -> float:
        """Seconds until an order that is sent now is published."""
        order_id = uuid.uuid4().hex
        self._installation.send([order(customer, order_id, 1_000)])
        began = time.monotonic()
        while order_id not in self._seen:
            assert time.monotonic() < began + 60, self._installation.workers[0].end_of_log
            message = self._consumer.poll(0.2)
            if message is not None and not message.error():
                self._seen.add(str(json.loads(message.value() or b"")["data"].get("orderId")))
        return time.monotonic() - began

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def neighbour(installation: Installation) -> Iterator[Neighbour]:
    found = Neighbour(installation)
    yield found
    found.close()


def send(installation: Installation, message: Message, codec: str = "none") -> None:
    settings = {"partitioner": "murmur2_random", "message.max.bytes": 1_000_000_000, "log_level": 0}
    producer = Producer({"bootstrap.servers": installation.bootstrap, "compression.type": codec, **settings})
    failed: list[Any] = []
    producer.produce(
        installation.topic(message.topic),
        message.value,
        message.key,
        headers=message.headers,
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    assert producer.flush(60) == 0
    assert not failed, failed


def padded(message: Message, size: int) -> Message:
    """The same order with a text in a field that means nothing, and so many bytes in all."""
    body = json.loads(message.value)
    body["note"] = ""
    body["note"] = "x" * (size - len(json.dumps(body)))
    return message._replace(value=json.dumps(body).encode())


def with_others(message: Message, size: int) -> Message:
    """The same order whose key and headers have so many bytes together."""
    return message._replace(headers=[("h" * 1_000, b"v" * (size - 1_000 - len(message.key or b"")))])


def an_order(number: str, customer: str = ODD, cents: int = 100) -> Message:
    return order(customer, f"order {number}", cents)


def letters(installation: Installation) -> dict[tuple[bytes, ...], Any]:
    """Dead letters by the position of their originals."""
    return {
        tuple(each.headers[f"dlq-{name}"] for name in ("topic", "partition", "offset")): each
        for each in installation.read("customer.dead-letters")
    }


def listed(installation: Installation) -> list[str]:
    """Dead letters as the console shows them; librdkafka's binding for Python dies of a name that is not UTF-8."""
    done = installation.console("dead-letters", "list", "--json")
    done.check_returncode()
    return [line for line in done.stdout.splitlines() if "UNDECODABLE" in line]


def forwarded(installation: Installation) -> list[Any]:
    inbox = installation.read("customer.inbox")
    return [each for each in inbox if each.headers["inbox-kind"] == b"forwarded"]


def assert_verified(installation: Installation) -> None:
    done = installation.console("verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_records_over_the_limits_are_dead_letters_and_their_neighbours_are_served(
    installation: Installation, neighbour: Neighbour
):
    installation.send([registration(ODD), registration(NEXT)])
    (worker,) = installation.start_workers("worker")
    neighbour.is_served_after_s(NEXT)
    over = [
        ("one byte more", padded(an_order("1"), MIB + 1)),
        ("just under the topic's limit", padded(an_order("2"), 8 * MIB - 200)),
        ("a header of 7 MB", an_order("3")._replace(headers=[("trace", b"h" * 7_000_000)])),
        ("a header name of 7 MB", an_order("4")._replace(headers=[("n" * 7_000_000, b"")])),
        ("a key of 7 MB", an_order("5")._replace(key=b"k" * 7_000_000)),
        ("a header too many", with_others(an_order("6"), 65_537)),
        ("for nobody yet", an_order("7", "nobody")._replace(headers=[("trace", b"h" * 7_000_000)])),
        ("a command", padded(command(ODD, "UpdateProfile", {}), 2 * MIB)),
    ]
    sent = 0
    for name, message in over:
        for codec in ("none",) if "limit" in name or "7 MB" in name else ("none", "zstd"):
            send(installation, message, codec)
            sent += 1
            assert_prompt(neighbour.is_served_after_s(NEXT), name)
    for codec in CODECS[1:]:
        send(installation, padded(an_order(f"9 MiB {codec}"), 9 * MIB), codec)
        sent += 1
        assert_prompt(neighbour.is_served_after_s(NEXT), codec)
    installation.wait_until(lambda: len(letters(installation)) == sent)
    found = letters(installation)
    assert {each.headers["dlq-reason"] for each in found.values()} == {b"TOO_LARGE"}
    assert {each.headers["dlq-masked"] for each in found.values()} == {b"size"}
    digests = {hashlib.sha256(message.value).hexdigest().encode() for _, message in over}
    assert digests <= {each.value for each in found.values()}
    assert worker.exits == []
    assert_verified(installation)


def test_records_at_the_limits_count(installation: Installation, neighbour: Neighbour):
    installation.send([registration(ODD), registration(NEXT)])
    (worker,) = installation.start_workers("worker")
    full = with_others(padded(an_order(""), MIB), 65_536)
    assert len(full.value) == MIB
    for codec in CODECS:
        for customer, kind in ((ODD, "known"), ("nobody", "waits")):
            here = with_others(padded(an_order(f"{kind} {codec}", customer), MIB), 65_536)
            send(installation, here, codec)
            there = padded(an_order(f"{kind} {codec} elsewhere", customer), MIB)._replace(key=b"k" * 64_000)
            send(installation, there, codec)
    installation.wait_until(lambda: len(forwarded(installation)) == 2 * len(CODECS))
    neighbour.is_served_after_s(NEXT)
    installation.send([registration("nobody")])
    installation.wait_until(
        lambda: (
            installation.customers().get("nobody", {}).get("order_count") == 2 * len(CODECS)
            and installation.customers()[ODD]["order_count"] == 2 * len(CODECS)
        )
    )
    assert letters(installation) == {}
    assert worker.exits == []
    assert_verified(installation)


def test_null_header_values_and_header_names_of_any_bytes_come_and_go(
    installation: Installation, neighbour: Neighbour
):
    installation.send([registration(ODD), registration(NEXT)])
    (worker,) = installation.start_workers("worker")
    nulls = an_order("null", "nobody")._replace(
        headers=[
            ("h", None),
            ("h", b"1"),
            ("traceparent", None),
            ("inbox-kind", b"forged"),
            ("content-type", None),
        ]
    )
    send(installation, nulls)
    send(installation, nulls)
    send(installation, nulls._replace(key=b"another", value=an_order("null elsewhere", "nobody").value))
    script = str(Path(__file__).with_name("odd_names.py"))
    bad = b"not json"
    for value in (an_order("odd", "nobody").value, an_order("odd", ODD).value, bad):
        for partition in range(4):
            arguments = [installation.topic("order.completed"), str(partition), ODD.encode().hex(), "fffe80"]
            subprocess.run(
                [sys.executable, script, installation.bootstrap, *arguments, value.hex()], check=True
            )
    assert_prompt(neighbour.is_served_after_s(NEXT), "another customer")
    installation.send([registration("nobody")])
    installation.wait_until(lambda: installation.customers().get("nobody", {}).get("order_count") == 3)
    installation.wait_until(lambda: len(listed(installation)) == 4)
    done = installation.console("dead-letters", "replay", "--reason", "UNDECODABLE")
    assert done.returncode == 0, done.stdout + done.stderr
    installation.wait_until(lambda: len(listed(installation)) == 8)
    assert worker.exits == []
    assert_verified(installation)


def test_a_dump_of_card_numbers_is_answered_with_twenty_errors(
    installation: Installation, neighbour: Neighbour
):
    installation.send([registration(ODD), registration(NEXT)])
    (worker,) = installation.start_workers("worker")
    data: dict[str, Any] = {"cardDumpPastedFromTheOldShop": ["4111111111111111"] * 50_000}
    for level in range(20):
        data = {f"aFieldWhoseNameHasFortyCharactersLevel{level:02d}": data}
    send(installation, command(ODD, "UpdateProfile", data, "dump"))
    assert_prompt(neighbour.is_served_after_s(NEXT), "another customer")
    installation.wait_until(lambda: len(installation.results()) == 3)
    (result,) = (each for each in installation.results() if each["commandId"] == "dump")
    assert (result["code"], len(result["errors"])) == ("VALIDATION_FAILED", 20)
    assert worker.exits == []
    assert_verified(installation)


@pytest.mark.parametrize("codec", ["zstd", pytest.param("gzip", marks=pytest.mark.long)])
def test_a_compression_bomb_is_one_dead_letter(installation: Installation, neighbour: Neighbour, codec: str):
    installation.send([registration(ODD), registration(NEXT)])
    (worker,) = installation.start_workers("worker")
    neighbour.is_served_after_s(NEXT)
    bomb = b" " * (300 * MIB)
    before = worker.peak_memory_bytes()
    send(installation, Message("order.completed", ODD.encode(), bomb), codec)
    assert_prompt(neighbour.is_served_after_s(NEXT), "another customer")
    (letter,) = letters(installation).values()
    assert letter.value == hashlib.sha256(bomb).hexdigest().encode()
    assert worker.peak_memory_bytes() - before < 60 * MIB
    assert worker.exits == []
    assert_verified(installation)
