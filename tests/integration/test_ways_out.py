"""What the documents advise for dead letters leads out: what was refused counts in the end."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.faults.configure import configure
from tests.integration.installation import Headers, Installation, Message, command, order, registration
from tests.integration.test_replay import replay

LIMIT = 1_000
_LIMIT_BYTES = 1 << 20
_MONTH_MS = 31 * 86_400_000

pytestmark = pytest.mark.timeout(240)


def counted(installation: Installation) -> set[str]:
    """The orders that were counted."""
    spending = (e for e in installation.events() if e["type"] == "CustomerSpendingUpdatedEvent")
    return {event["data"]["orderId"] for event in spending}


def offset_of(installation: Installation, reason: str) -> str:
    """Where the one letter of that reason is."""

    def offsets() -> list[int]:
        letters = installation.read("customer.dead-letters")
        return [each.offset for each in letters if each.headers["dlq-reason"] == reason.encode()]

    installation.wait_until(lambda: len(offsets()) == 1)
    return str(offsets()[0])


def send_one_of_last_month(installation: Installation, message: Message) -> None:
    producer: Producer = installation.producer()
    then = int(time.time() * 1000) - _MONTH_MS
    producer.produce(installation.topic(message.topic), message.value, message.key, timestamp=then)
    producer.flush(30.0)


@pytest.fixture(scope="module")
def served(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """With two customers, of whom eve was erased, and a worker."""
    made = Installation(kafka, tmp_path_factory.mktemp("served"))
    made.start_workers("worker")
    people = [registration("ada"), registration("eve")]
    made.send([*people, command("eve", "EraseCustomer", {"reason": "asked for"})])
    made.wait_until(lambda: len(made.results()) == 3)
    yield made
    made.end()


@pytest.mark.parametrize("reason", ["UNDECODABLE", "INVALID", "TOO_LARGE", "CUSTOMER_ERASED"])
def test_a_letter_that_was_mended_counts(served: Installation, tmp_path: Path, reason: str):
    right = order("ada", f"mended-{reason}", 1_200).value
    wrong = {
        "UNDECODABLE": Message("order.completed", b"ada", b"orderId=mended"),
        "INVALID": Message("order.completed", b"ada", b'{"orderId":"mended"}'),
        "TOO_LARGE": Message(
            "order.completed", b"ada", right[:-1] + b',"note":"' + b"x" * _LIMIT_BYTES + b'"}'
        ),
        "CUSTOMER_ERASED": order("eve", "mended", 1_200),
    }
    served.send([wrong[reason]])
    mended = tmp_path / "mended.json"
    mended.write_bytes(right)
    assert "Sent 1 back" in replay(served, "--offset", offset_of(served, reason), "--edit", str(mended))
    served.wait_until(lambda: f"mended-{reason}" in counted(served))


def test_what_waited_for_too_long_counts_once_its_customer_is_registered(served: Installation):
    # Kafka stamps inputs itself; a topic that takes the producer's time is the only one that shows such an age.
    configure(served.bootstrap, served.topic("order.completed"), "message.timestamp.type", "CreateTime")
    send_one_of_last_month(served, order("bob", "late", 1_200))
    offset_of(served, "WAITING_EXPIRED")
    served.send([registration("bob")])
    assert "Sent 1 back" in replay(served, "--reason", "WAITING_EXPIRED")
    served.wait_until(lambda: "late" in counted(served))


def test_what_was_too_much_to_wait_counts_once_its_customer_is_registered(served: Installation):
    orders = [f"order-{number:04d}" for number in range(LIMIT + 1)]
    served.send([order("carl", order_id, 100) for order_id in orders])
    offset_of(served, "WAITING_LIMIT")
    served.send([registration("carl")])
    assert "Sent 1 back" in replay(served, "--reason", "WAITING_LIMIT")
    served.wait_until(lambda: counted(served).issuperset(orders))


def test_an_input_on_which_an_earlier_release_failed_counts_with_one_that_does_not(served: Installation):
    good = order("ada", "failed", 1_200)
    said: Headers = [
        ("dlq-reason", b"FAILED"),
        ("dlq-detail", b"LookupError"),
        ("dlq-topic", served.topic("order.completed").encode()),
        ("dlq-partition", b"0"),
        ("dlq-offset", b"7"),
        ("dlq-timestamp", str(int(time.time() * 1000)).encode()),
    ]
    served.send([Message("customer.dead-letters", good.key, good.value, said)])
    assert "Sent 1 back" in replay(served, "--reason", "FAILED")
    served.wait_until(lambda: "failed" in counted(served))
