"""Customers as JSON bytes, kept for as long as their version is the latest: most reads change nothing.

A version stands for one representation (contract, section 3), so the same id and version are the same bytes.
"""

from api.contracts import encode
from api.representation import customer_view
from worker.domain.state import Customer

MOST_KEPT = 4_096  # customers; about a kilobyte each


class Renderings:
    """The latest representations that were asked for. currency: the rules' one."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._kept: dict[str, tuple[int, bytes]] = {}

    def of(self, customer: Customer) -> bytes:
        """The customer's JSON."""
        kept = self._kept.get(customer.id)
        if kept is not None and kept[0] == customer.version:
            return kept[1]
        if len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]  # the one that was first asked for
        body = encode(customer_view(customer, self._currency))
        self._kept[customer.id] = (customer.version, body)
        return body

    def forget(self, customer_id: str) -> None:
        """Nothing of an erased customer stays in memory."""
        self._kept.pop(customer_id, None)
