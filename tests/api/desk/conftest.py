"""A customer with something of everything, and visitors of her page."""

from typing import NamedTuple
from urllib.parse import quote

import pytest

from tests.api.conftest import CUSTOMERS, Client, registered
from tests.api.desk.visitor import Visitor
from tests.api.in_memory import World

HOME = {"street": "1 Main St", "city": "Arlington", "zipCode": "22201", "country": "US"}
WORK = {"street": "2 High St", "city": "Boston", "zipCode": "02101", "country": "US"}


class Known(NamedTuple):
    """A registered customer. path: of her page."""

    id: str
    path: str
    world: World

    @property
    def version(self) -> int:
        """Hers now."""
        return self.world.customers[self.id].version

    def commands(self) -> list[str]:
        """The types of all commands that are in the log, the first first."""
        return [each["received"].command_type for each in self.world.records]


@pytest.fixture
async def visitor(client: Client) -> Visitor:
    """Somebody at the only worker, which is open."""
    return Visitor(client)


@pytest.fixture
async def ann(client: Client, world: World) -> Known:
    """Two addresses, a payment method, 130 points and a redemption of 20 of them."""
    customer_id = await registered(client, address=HOME, phone="+14155550100")
    one = f"{CUSTOMERS}/{customer_id}"
    world.order(customer_id, "o-1", 150_000)
    for path, body in (
        ("addresses", WORK),
        ("payment-methods", {"type": "CREDIT_CARD", "last4": "4242"}),
        ("reward-points/redemptions", {"points": 20, "reason": "voucher", "redemptionId": "r 1/ü"}),
    ):
        answer = await client.post(f"{one}/{path}", json=body)
        assert answer.status == 201, await answer.text()
    world.records.clear()
    return Known(customer_id, f"/desk/customers/{quote(customer_id, safe='')}", world)
