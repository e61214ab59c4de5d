"""The verification reads CloudEvents by TYPE_ALIASES, as the worker does."""

import pytest

from tests.agents.test_type_aliases import ALIASES, DATA, profile, send
from tests.agents.world import World
from tests.verify.observed import Observed
from worker.kafka.topics import Catalogue


@pytest.mark.parametrize("payment_join", [False, True])
@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("key", ["c1", "another key"])
def test_inputs_of_an_alias_verify_clean_and_not_without_the_setting(key: str, mode: str, payment_join: bool):
    world = World(payment_join=payment_join, type_aliases=ALIASES)
    world.register("c1")
    for kind in DATA:
        send(world, mode, kind, key=key)
    send(world, mode, "com.shop.Profile", data=profile(None), key=key)
    if payment_join:
        nameless = {name: value for name, value in DATA["com.shop.Payment"].items() if name != "customerId"}
        send(world, mode, "com.shop.Payment", data=nameless | {"paymentId": "p2"}, key="o1")
    observed = Observed(world.run())
    assert world.customer("c1").name == "Grace"
    assert observed.differences() == []
    observed.catalogue = Catalogue(partitions=world.catalogue.partitions, payment_join=payment_join)
    assert observed.differences() != []
