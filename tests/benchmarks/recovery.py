"""How long a stopped peer takes to be back: from its start to the visible event of an order that was waiting for it.

Two ways: with its local files as it left them, and with none, so that all state comes from the changelogs.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.kafka import Ends, Loader, Site
from tests.benchmarks.orders import make_order
from tests.benchmarks.peers import Peer
from tests.benchmarks.throughput import start

_FIRST_NUMBER = 0x90000000  # beyond any workload's, and those of the latency
_LOOK_EVERY_S = 0.02
_WITHIN_S = 180.0


@dataclass(frozen=True)
class Recovery:
    """Seconds."""

    intact_s: float
    deleted_s: float


def of_peer(peer: Peer, site: Site, folder: Path, broker_pid: int) -> Recovery:
    """The peer has been stopped; it is stopped again afterwards."""
    intact = _until_visible(peer, site, folder, broker_pid, _FIRST_NUMBER)
    shutil.rmtree(folder)
    return Recovery(intact, _until_visible(peer, site, folder, broker_pid, _FIRST_NUMBER + 1))


def _until_visible(peer: Peer, site: Site, folder: Path, broker_pid: int, number: int) -> float:
    ends = Ends(site.bootstrap, site.catalogue.events.name)
    before = ends.offsets()
    loader = Loader(site, linger_ms=0)
    loader.order(make_order(number, 0, 1_000))
    loader.flush()
    with start(peer, site, folder, broker_pid) as process:
        began = time.monotonic()
        while ends.offsets() == before:
            process.check()
            if time.monotonic() - began > _WITHIN_S:
                raise RuntimeError(f"{peer.name} was not back within {_WITHIN_S:.0f} s")
            time.sleep(_LOOK_EVERY_S)
        return time.monotonic() - began
