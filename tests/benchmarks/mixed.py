"""Registrations by HTTP while orders flow: how long a client waits for its 201 when the worker is busy.

Rules:
- Orders and registrations come at an even pace, whatever the worker does. A registration's time begins when it was due,
  so a late start counts. A separate process produces the orders, so that it does not slow the HTTP client down.
- The reached rate is that of the broker. The worker's rate is what it committed meanwhile, from its own metrics.

Usage: python -m tests.benchmarks.mixed [--orders-per-s N] [--posts-per-s N] [--seconds S] [--mark-ms MS]; exit 1 when
the p99 is over the mark or a registration failed. Without orders: --orders-per-s 0 --posts-per-s 50 --mark-ms 100.
"""

import argparse
import asyncio
import multiprocessing
import random
import re
import tempfile
import time
import urllib.request
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import aiohttp

from tests.benchmarks import peers
from tests.benchmarks.kafka import BROKER_PROPERTIES, Loader, Site
from tests.benchmarks.latency import percentile
from tests.benchmarks.orders import Workload, make_order
from tests.benchmarks.runner import console, progress_bar
from tests.benchmarks.throughput import Progress, register, start
from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

CUSTOMERS = 10_000

_WARM_UP_S = 3.0
_STEP_S = 0.01
_WITHIN_S = 30.0


class Flow(NamedTuple):
    """Rates of orders. reached_per_s: taken by the broker. worker_per_s: committed by the worker. lag: orders left."""

    reached_per_s: float
    worker_per_s: float
    lag: float


def produce(site: Site, url: str, per_s: int, seconds: float) -> Flow:
    """Produce orders at an even pace. url: the worker's."""
    loader, rng = Loader(site, linger_ms=5), random.Random(1)
    began, number, count = time.monotonic(), 0, int(per_s * seconds)
    while number < count:
        due = min(count, int(per_s * (time.monotonic() - began + _STEP_S)))
        while number < due:
            loader.order(make_order(number, rng.randrange(CUSTOMERS), rng.randrange(100, 20_000)))
            number += 1
        time.sleep(_STEP_S)
    loader.flush()
    lasted, done = time.monotonic() - began, committed(url, site.catalogue.orders.name)
    return Flow(count / lasted, done / lasted, count - done)


async def post(url: str, per_s: int, seconds: float) -> tuple[list[float], Counter[int]]:
    """Send registrations at an even pace.

    Returns the seconds of each, and the count of each status. The seconds leave out the warm-up, in which connections
    open and the broker's Java compiles.
    """
    statuses: Counter[int] = Counter()
    timeout = aiohttp.ClientTimeout(total=_WITHIN_S)

    async def one(session: aiohttp.ClientSession, number: int, due: float) -> float:
        await asyncio.sleep(due - time.monotonic())
        body = {"name": "Benchmark", "email": f"mixed-{number}@example.com"}
        async with session.post(f"{url}/api/v1/customers", json=body) as answer:
            await answer.read()
            statuses[answer.status] += 1
        return time.monotonic() - due

    async with aiohttp.ClientSession(timeout=timeout) as session:
        began = time.monotonic()
        posts = [one(session, number, began + number / per_s) for number in range(int(per_s * seconds))]
        took = await asyncio.gather(*posts)
    return took[int(per_s * _WARM_UP_S) :], statuses


def committed(url: str, topic: str) -> float:
    """The number of input records of a topic that the worker has committed, from its metrics."""
    with urllib.request.urlopen(f"{url}/metrics") as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    found = re.search(
        rf'^customer_context_inputs_total{{topic="{re.escape(topic)}"}} (\S+)$', text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


class Measured(NamedTuple):
    """The figures of a run. waits: seconds per registration. worker_cores, broker_cores: CPU seconds per second."""

    flow: Flow
    waits: list[float]
    statuses: Counter[int]
    worker_cores: float
    broker_cores: float


def measure(orders_per_s: int, posts_per_s: int, seconds: float, told: Progress) -> Measured:
    """Measure one worker on its own broker, with CUSTOMERS registered before."""
    with (
        tempfile.TemporaryDirectory(prefix="customer-context-mixed-") as name,
        EmbeddedKafka(Path(name) / "kafka", properties=BROKER_PROPERTIES) as broker,
    ):
        site, port = Site(broker.bootstrap, "mixed."), free_port()
        url = f"http://127.0.0.1:{port}"
        site.create_topics()
        with start(peers.OURS, site, Path(name) / "run" / "state", broker.pid, port) as process:
            register(peers.OURS, site, Workload(0, CUSTOMERS), process, told)
            told("orders and registrations", 0, 1)
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
                began, cpu = time.time(), process.cpu_at(time.time())
                producing = other.submit(produce, site, url, orders_per_s, seconds)
                waits, statuses = asyncio.run(post(url, posts_per_s, seconds))
                flow = producing.result()
                lasted = time.time() - began
                used = [end - start for end, start in zip(process.cpu_at(time.time()), cpu, strict=True)]
            process.check()
    return Measured(flow, waits, statuses, used[0] / lasted, used[1] / lasted)


def tell(measured: Measured, mark_ms: float) -> bool:
    """Print the figures. Returns whether every registration succeeded and the p99 is within the mark."""
    flow, waits = measured.flow, measured.waits
    p50, p99, longest = (percentile(waits, share) * 1000 for share in (0.5, 0.99, 1.0))
    passed = p99 <= mark_ms and set(measured.statuses) == {201}
    console.print(f"orders: {flow.reached_per_s:,.0f}/s, the worker {flow.worker_per_s:,.0f}/s")
    console.print(f"lag at the end: {flow.lag:,.0f} orders")
    console.print(f"cores in use: worker {measured.worker_cores:.2f}, broker {measured.broker_cores:.2f}")
    console.print(
        f"POST: {dict(measured.statuses)}, p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {longest:.0f} ms"
    )
    console.print(f"p99 at most {mark_ms:.0f} ms: {'yes' if passed else 'NO'}")
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders-per-s", type=int, default=20_000)
    parser.add_argument("--posts-per-s", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--mark-ms", type=float, default=500.0)
    args = parser.parse_args()
    with progress_bar() as told:
        measured = measure(args.orders_per_s, args.posts_per_s, args.seconds, told)
    raise SystemExit(not tell(measured, args.mark_ms))


if __name__ == "__main__":
    main()
