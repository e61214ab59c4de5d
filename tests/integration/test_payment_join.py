"""With PAYMENT_JOIN a payment that names no customer finds its order on a real Kafka, whichever arrives first."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.installation import (
    FOREIGN_PARTITIONER,
    Installation,
    order,
    payment_of_order,
    registration,
)

CUSTOMERS = [f"customer-{number}" for number in range(12)]


@pytest.fixture
def joining(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation with PAYMENT_JOIN, and no worker yet."""
    made = Installation(kafka, tmp_path, PAYMENT_JOIN="on")
    yield made
    made.end()


@pytest.mark.long
def test_each_payment_counts_once_whether_its_order_came_first_or_after_it(joining: Installation):
    joining.start_workers("one", "two")
    joining.send(registration(each) for each in CUSTOMERS)
    joining.send(order(each, f"order first of {each}", 1_000) for each in CUSTOMERS)
    joining.send(payment_of_order(f"payment first of {each}", f"early of {each}", 250) for each in CUSTOMERS)
    joining.wait_until(lambda: len(joining.read("customer.order-index")) == 2 * len(CUSTOMERS))
    joining.send(payment_of_order(f"order first of {each}", f"late of {each}", 1_000) for each in CUSTOMERS)
    joining.send(order(each, f"payment first of {each}", 250) for each in CUSTOMERS)
    again = [payment_of_order(f"order first of {each}", f"late of {each}", 1_000, b"k") for each in CUSTOMERS]
    joining.send(again, FOREIGN_PARTITIONER)

    def counts() -> set[int | None]:
        return {customer.get("payment_count") for customer in joining.customers().values()}

    joining.wait_until(lambda: len(joining.customers()) == len(CUSTOMERS) and counts() == {2})
    joining.wait_until(lambda: len(joining.read("customer.order-index")) == 5 * len(CUSTOMERS))
    report = json.loads(joining.console("verify", "--json").stdout)
    assert (report["differences"], report["notVerifiable"]) == ([], [])
    assert {customer["paid"]["USD"] for customer in joining.customers().values()} == {1_250}
    assert joining.read("customer.dead-letters") == []
