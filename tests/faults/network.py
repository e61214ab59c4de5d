"""Rows in which the network between the broker and all clients is cut or slow."""

import time
from typing import ClassVar

from tests.faults.processes import BrokerKill
from tests.faults.row import Row
from tests.faults.stage import SESSION_S, Stage

_CUTS_S = (1.0, 5.0, 15.0)
_DELAY_S = 0.2
_DELAYED_FOR_S = 10.0


class Cut(Row):
    """The proxy forwards nothing for 1, 5 or 15 seconds."""

    name = "network cut for 1, 5, 15 s"
    times = (3, 30)
    stage_options: ClassVar = {"proxied": True}
    exits_allowed = BrokerKill.exits_allowed
    takeover_limit_s = 2 * (SESSION_S + 4.0)

    def strike(self, stage: Stage, n: int) -> None:
        assert stage.proxy is not None
        with stage.proxy.cut():
            stage.look_after(_CUTS_S[n % len(_CUTS_S)])
        stage.strikes.append(time.monotonic())
        stage.look_after_until_all_work(time.monotonic())
        stage.look_after(stage.random.uniform(1.0, 3.0))


class Slow(Row):
    """200 ms more latency in each direction."""

    name = "network delay of 200 ms"
    times = (1, 10)
    stage_options: ClassVar = {"proxied": True}

    def strike(self, stage: Stage, n: int) -> None:
        assert stage.proxy is not None
        with stage.proxy.slow(_DELAY_S):
            stage.look_after(_DELAYED_FOR_S)
        stage.look_after_until_all_work(time.monotonic())


ROWS = (Cut, Slow)
