"""Whoever sends a command waits for its answer, and not for the orders that came before it."""

import signal

from tests.integration.installation import Installation, command, order, registration
from tests.records import end_of

_ENDS_WITHIN_S = 20.0
_ORDERS = 100_000
_BEGUN = 20_000
# It waits for the batch of 2,000 at hand; in one queue with the orders it waited for 43,521.
_OVERTAKEN_BY = 6_000


def test_a_command_does_not_wait_for_the_orders_that_piled_up(installation: Installation):
    installation.send([registration("busy")])
    [worker] = installation.start_workers("worker")
    installation.wait_until(lambda: len(installation.results()) == 1)
    worker.signal(signal.SIGTERM)
    worker.wait(_ENDS_WITHIN_S)
    installation.send(order("busy", f"order-{number}", 100) for number in range(_ORDERS))
    [partition] = {record.partition for record in installation.read("customer.events")}
    events = installation.topic("customer.events")
    # Supervised: it starts again.
    installation.wait_until(lambda: end_of(installation.bootstrap, events, partition) > _BEGUN)

    installation.send([command("busy", "ChangeStatus", {"newStatus": "SUSPENDED", "reason": "a test"})])
    published = end_of(installation.bootstrap, events, partition)
    installation.wait_until(lambda: len(installation.results()) == 2)

    [changed] = [event for event in installation.events() if event["type"] == "CustomerStatusChangedEvent"]
    assert int(changed["sequence"]) - published < _OVERTAKEN_BY
