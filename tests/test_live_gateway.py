"""What readers share of a worker, without a worker: decoded customers, for as long as they may be shown."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents.batch import Routing
from worker.app import live_gateway
from worker.app.live_gateway import LiveGateway
from worker.topics import Catalogue
from worker.wire.results import CommandResult

ROW = b'{"customer":{"id":"c1","name":"Ann","email":"ann@example.com","version":1}}'


@pytest.fixture(autouse=True)
def nothing_decoded() -> Iterator[None]:
    live_gateway._decoded.cache_clear()
    yield
    live_gateway._decoded.cache_clear()


@pytest.mark.parametrize(("command_type", "kept"), [("EraseCustomer", 0), ("UpdateProfile", 1)])
def test_nobody_who_was_erased_stays_decoded_for_those_who_read(command_type: str, kept: int):
    catalogue = Catalogue(partitions=4)
    gateway = LiveGateway(catalogue, Routing(catalogue, 4))
    live_gateway._decoded(ROW)
    result = CommandResult("k1", command_type, "c1", "APPLIED", 2)
    gateway.committed(cast("Any", SimpleNamespace(results=[result])), ["c1"], 1)
    assert live_gateway._decoded.cache_info().currsize == kept
