"""Latency: from producing an order to its event at a read_committed consumer, and from an HTTP POST to its 201.

The peer has just processed a load, so it is warm. Orders come at an even pace. All times are from this process's clock.
"""

import asyncio
import math
import random
import threading
import time
from dataclasses import dataclass

import aiohttp
from confluent_kafka import TopicPartition

from tests.benchmarks.kafka import PARTITIONS, Ends, Loader, Site
from tests.benchmarks.orders import make_order
from tests.benchmarks.published import event_consumer

ORDERS_PER_S = 200

_WARM_UP_S = 2.0
_AFTER_S = 10.0
_FIRST_NUMBER = 0x80000000  # higher than the order numbers of any workload


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds. missing: number of orders whose event never came."""

    p50: float
    p99: float
    missing: int = 0


def of_orders(site: Site, customers: int, seconds: float) -> Latency:
    """Measure orders at ORDERS_PER_S for some seconds, after a short warm-up. customers: their number."""
    watcher = Watcher(site)
    watcher.start()
    watcher.ready.wait()
    loader, rng = Loader(site, linger_ms=0), random.Random(1)
    produced: dict[bytes, float] = {}
    begin = time.monotonic()
    count = int((seconds + _WARM_UP_S) * ORDERS_PER_S)
    for number in range(count):
        time.sleep(max(0.0, begin + number / ORDERS_PER_S - time.monotonic()))
        order = make_order(_FIRST_NUMBER + number, rng.randrange(customers), rng.randrange(1_000, 5_000))
        produced[order.order_id.encode()] = time.monotonic()
        loader.order(order)
    loader.flush()
    watcher.finish(count, _AFTER_S)
    warm = list(produced)[int(_WARM_UP_S * ORDERS_PER_S) :]
    took = [watcher.seen[each] - produced[each] for each in warm if each in watcher.seen]
    return _summary(took, missing=len(warm) - len(took))


def of_registrations(url: str, count: int) -> Latency:
    """Measure POST /api/v1/customers until its 201, one request after the other on one connection."""
    return asyncio.run(_register(url, count))


async def _register(url: str, count: int) -> Latency:
    took: list[float] = []
    async with aiohttp.ClientSession() as session:
        for number in range(count + count // 5):
            body = {"name": "Benchmark", "email": f"posted-{number}-{time.time_ns() % 10**9}@example.com"}
            began = time.monotonic()
            async with session.post(f"{url}/api/v1/customers", json=body) as answer:
                await answer.read()
                if answer.status != 201:
                    raise RuntimeError(f"a registration was answered with {answer.status}")
            took.append(time.monotonic() - began)
    return _summary(took[count // 5 :])


def percentile(values: list[float], share: float) -> float:
    """The smallest value such that at least this share of all values is not larger (nearest rank). share: 0 to 1."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _summary(seconds: list[float], missing: int = 0) -> Latency:
    return Latency(percentile(seconds, 0.5) * 1000, percentile(seconds, 0.99) * 1000, missing)


class Watcher(threading.Thread):
    """Reads new records of customer.events.

    seen: orderId -> monotonic time at which its spending event came. ready: set when it reads.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(name="watcher", daemon=True)
        self._site = site
        self._over = threading.Event()
        self._enough = threading.Event()
        self._wanted = 0
        self.ready = threading.Event()
        self.seen: dict[bytes, float] = {}

    def run(self) -> None:
        topic = self._site.catalogue.events.name
        ends = Ends(self._site.bootstrap, topic).offsets()
        with event_consumer(self._site) as consumer:
            consumer.assign([TopicPartition(topic, number, ends[number]) for number in range(PARTITIONS)])
            self.ready.set()
            while not self._over.is_set():
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    self._note(message.value())

    def finish(self, count: int, within_s: float) -> None:
        """Wait for the events of `count` orders, then end the thread."""
        give_up_at = time.monotonic() + within_s
        while len(self.seen) < count and time.monotonic() < give_up_at:
            time.sleep(0.05)
        self._over.set()
        self.join()

    def _note(self, value: bytes) -> None:
        now = time.monotonic()
        if b'"CustomerSpendingUpdatedEvent"' in value:
            at = value.index(b'"orderId":"') + len(b'"orderId":"')
            self.seen[value[at : value.index(b'"', at)]] = now
