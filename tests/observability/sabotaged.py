"""The real worker with two faults, whose exceptions hold all that the worker knows at that point.

- An order whose id starts with `crash` makes its batch fail.
- Asking for the reward points of the customer `broken` makes the request fail.
"""

from typing import Any

from agents.batch import Batch
from worker.app.live_gateway import LiveGateway
from worker.cli import main

_publish, _history = Batch.publish, LiveGateway.points_history


def _failing_publish(batch: Batch, row: Any, key: str, *rest: Any) -> None:
    _publish(batch, row, key, *rest)
    if key.startswith("crash"):
        try:
            raise KeyError(row.customer.name.encode())
        except KeyError as error:
            raise ValueError(f"{row} cannot be recorded with {batch.unit.outbox}") from error


def _failing_history(gateway: LiveGateway, customer_id: str, *page: Any) -> Any:
    if customer_id == "broken":
        raise ValueError(f"the ledger of {gateway.customer(customer_id)} is broken")
    return _history(gateway, customer_id, *page)


Batch.publish = _failing_publish  # type: ignore[method-assign, assignment]
LiveGateway.points_history = _failing_history  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    main()
