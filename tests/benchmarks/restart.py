"""Restart time of a stopped peer: from its start to the visible event of an order that waited for it.

It is measured with its local files intact, and without any, so that all state comes from the changelogs.
"""

import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.kafka import Ends, Loader, Site
from tests.benchmarks.measured import MeasuredProcess
from tests.benchmarks.orders import Expected, make_order
from tests.benchmarks.peers import Peer
from tests.benchmarks.throughput import start

_FIRST_NUMBER = 0x90000000  # higher than the order numbers of any workload and of the latency
_LOOK_EVERY_S = 0.02
_WITHIN_S = 180.0


@dataclass(frozen=True)
class Restarts:
    """Restart times in seconds, with local files intact and deleted."""

    intact_s: float
    deleted_s: float


def of_peer(peer: Peer, site: Site, folder: Path, broker_pid: int, expected: Expected) -> Restarts:
    """Measure both restarts of a stopped peer, and stop it again. expected: gets the waiting orders added."""
    with back(peer, site, folder, broker_pid, expected) as (_, intact_s):
        pass
    shutil.rmtree(folder)
    with back(peer, site, folder, broker_pid, expected) as (_, deleted_s):
        pass
    return Restarts(intact_s, deleted_s)


class Restored(NamedTuple):
    """What a worker has restored since its start.

    records: replayed changelog records. seconds: the time for that, over all assignments. copies: number of complete
    standby copies.
    """

    records: int
    seconds: float
    copies: int


def restored(web_port: int) -> Restored:
    """Read the metrics of the worker at this port."""
    with urllib.request.urlopen(f"http://127.0.0.1:{web_port}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
        values = {sample.name: sample.value for family in families for sample in family.samples}
    return Restored(
        int(values["customer_context_restore_records_total"]),
        values["customer_context_restore_seconds_sum"],
        int(values["customer_context_standby_partitions"]),
    )


@contextmanager
def back(
    peer: Peer, site: Site, folder: Path, broker_pid: int, expected: Expected, web_port: int = 0
) -> Iterator[tuple[MeasuredProcess, float]]:
    """Start a stopped peer again. Yields its process and the seconds of the restart."""
    ends = Ends(site.bootstrap, site.catalogue.events.name)
    before = ends.offsets()
    Loader(site, linger_ms=0).orders([make_order(_FIRST_NUMBER + expected.orders, 0, 1_000)], expected)
    with start(peer, site, folder, broker_pid, web_port) as process:
        began = time.monotonic()
        while ends.offsets() == before:
            process.check()
            if time.monotonic() - began > _WITHIN_S:
                raise RuntimeError(f"{peer.name} was not back within {_WITHIN_S:.0f} s")
            time.sleep(_LOOK_EVERY_S)
        yield process, time.monotonic() - began
