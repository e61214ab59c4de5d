"""Decoded customers, of which many thousands stay in memory, are no work for the garbage collector."""

import gc

import msgspec
import pytest

from tables import customers
from tests.agents.world import World

ROWS = 500
ENUMS = 2  # tuples of enums in the preferences, which stay


@pytest.fixture
def row() -> bytes:
    """A customer with something of everything."""
    world = World()
    home = {"street": "1 Main St", "city": "Arlington", "zipCode": "22201", "country": "US"}
    world.register("c1", command_id="k1")
    for number in range(3):
        world.order("c1", f"o-{number}", "900.00")
    world.command("AddDeliveryAddress", "c1", "k2", home)
    world.command("AddPaymentMethod", "c1", "k3", {"type": "CREDIT_CARD", "last4": "4242"})
    world.run()
    found = [dict(store.scan(customers.CUSTOMERS.mark)).get(b"c1") for store in world.stores]
    [raw] = [each for each in found if each]
    read = customers.decode(raw).customer
    assert read is not None
    assert read.addresses
    assert read.payment_methods
    assert read.spending["USD"].total == 270_000
    return raw


def looked_at() -> int:
    """How many objects a collection looks at, after a first one, which leaves out tuples of plain values."""
    gc.collect()
    return len(gc.get_objects())


def test_a_decoded_row_adds_two_tuples_to_them(row: bytes):
    before = looked_at()
    kept = [customers.decode(row) for _ in range(ROWS)]
    assert looked_at() - before < (ENUMS + 0.5) * ROWS
    assert len(kept) == ROWS


def test_control_as_a_plain_dictionary_it_adds_more(row: bytes):
    before = looked_at()
    kept = [msgspec.json.decode(row) for _ in range(ROWS)]
    assert looked_at() - before > (ENUMS + 0.5) * ROWS
    assert len(kept) == ROWS
