"""Dead letters that an operator sends back reach the worker, once, whatever their producer wrote into their headers."""

import pytest

from tests.integration.installation import Headers, Installation, Message, order, registration
from tests.integration.test_console_worker import result_count, spending_of

pytestmark = pytest.mark.timeout(240)  # a crowded machine starts workers slowly

POISON = b'{"orderId":"mended","totalAmount":"12"}'


def replay(installation: Installation, *arguments: str) -> str:
    done = installation.console("dead-letters", "replay", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_mended_letter_counts_once_and_one_sent_as_it_is_fails_again(installation: Installation, tmp_path):
    installation.send([registration("customer")])
    installation.start_worker("worker")
    installation.wait_until(lambda: result_count(installation, 1))
    forged: Headers = [("dlq-replayed-from", b"0/0"), ("dlq-topic", b"elsewhere")]
    installation.send([Message("order.completed", b"customer", POISON, forged)])
    installation.wait_until(lambda: len(installation.read("customer.dead-letters")) == 1)

    assert "Sent 1 back" in replay(installation, "--reason", "INVALID")
    installation.wait_until(lambda: len(installation.read("customer.dead-letters")) == 2)
    _, again = installation.read("customer.dead-letters")

    mended = tmp_path / "mended.json"
    mended.write_bytes(order("customer", "mended", 1_200).value)
    for words in ("Sent 1 back", "Sent 0 back; 1 had been"):
        assert words in replay(installation, "--offset", str(again.offset), "--edit", str(mended))
    installation.wait_until(lambda: spending_of(installation, "customer") == 1_200)
    assert len(installation.read("customer.dead-letters")) == 2
