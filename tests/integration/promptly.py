"""How long others may wait, and who they are: another customer of the same partition, within a second.

A crowded machine takes longer for everything. The limit then grows with the load of each core, and a failure says so.
"""

import os
import time

from agents.routing import Routing
from tests.integration.installation import PARTITIONS
from worker.kafka.topics import Catalogue

AT_ONCE_S = 1.0


def neighbour_of(customer: str) -> str:
    """Another customer of the same partition."""
    home = Routing(Catalogue(partitions=PARTITIONS), PARTITIONS).home
    return next(each for n in range(1_000) if home(each := f"neighbour-{n}")[0] == home(customer)[0])


def crowding() -> float:
    """By how much a limit grows: three times the processes that wanted a core over the last minute, 1.0 at least.

    Three times, because a wait for a core comes at each step of an answer: client, broker and worker.
    """
    return max(1.0, 3 * os.getloadavg()[0] / (os.cpu_count() or 1))


def assert_prompt(took_s: float, what: str, most_s: float = AT_ONCE_S) -> None:
    """Fail, and say how crowded the machine is, when something took longer than it may."""
    limit = most_s * crowding()
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    assert took_s < limit, f"{what}: {took_s:.2f} s, at most {limit:.2f} s ({load}, {time.strftime('%T')})"
