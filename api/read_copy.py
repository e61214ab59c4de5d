"""The shared read copy in Redis: what reads show, marked stale, while the owner of a customer is away.

Rules:
- Redis is a copy, never the truth, and never in the stream's way: commits only mark customers as changed; one
  background task writes them, in small pipelines, with at most a fifth of its time spent on the processor.
- A customer that changed ten times since the last write is written once.
- Redis may be down, slow or flushed: short timeouts, growing pauses, and nothing but the copy suffers.
- A partition is written in full when its marker in Redis is not ours: Redis came back empty, or another worker owned
  the partition before and may have died with changes unwritten.
- An older version never replaces a newer one, and nothing replaces the tombstone of an erased customer, which holds no
  more than the version and does not expire.

Keys: `<app id>:copy:<customerId>` is a hash of v (version), at (ms), and c (Customer), p (reward points), or gone;
`<app id>:copied:<partition>` is the marker. Several applications may share one Redis; one application needs its own
APP_ID in it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import islice
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.contracts import encode
from api.representation import customer_view, points_view
from worker import metrics
from worker.domain.state import Customer
from worker.gateway import Gateway, NotOwned

TIMEOUT_SECONDS = 2.0  # a busy machine is not a slow Redis
BATCH = 25  # customers a pipeline
PAUSE_SECONDS = 0.02
IDLE_PER_BUSY = 4.0  # seconds of rest for each second of work
MARKER_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 10.0
MOST_CHANGED = 100_000

_WRITE = """
local old = redis.call('HMGET', KEYS[1], 'v', 'gone')
if old[2] or (old[1] and tonumber(ARGV[1]) < tonumber(old[1])) then return 0 end
return redis.call('HSET', KEYS[1], 'v', ARGV[1], 'at', ARGV[2], 'c', ARGV[3], 'p', ARGV[4])
"""
_ERASE = """
redis.call('HDEL', KEYS[1], 'c', 'p')
return redis.call('HSET', KEYS[1], 'gone', '1', 'v', ARGV[1], 'at', ARGV[2])
"""
_FINISH = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end"

log = structlog.get_logger(__name__)


class Copied(StrEnum):
    """What the copy holds of a customer."""

    CUSTOMER = "c"
    REWARD_POINTS = "p"


class StaleCopy(msgspec.Struct, frozen=True):
    """body: JSON, None when the customer was erased; age_seconds: since it was written."""

    body: bytes | None
    version: int
    age_seconds: int


class ReadCopy:
    """Writes the held partitions' customers to Redis while running(), and reads anyone's."""

    def __init__(self, url: str, app_id: str, gateway: Gateway, currency: str) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._app_id = app_id
        self._gateway = gateway
        self._currency = currency
        self._changed: dict[str, None] = {}  # a set in order of change
        self._rebuilding: dict[int, Iterator[Customer]] = {}
        self._markers_due = 0.0  # time.monotonic()
        self._written_at = time.monotonic()
        self._run = uuid4().hex

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follows commits and writes until the block ends."""
        self._gateway.on_commit(self.changed)
        metrics.watch_read_copy(self)
        writer = asyncio.create_task(self._write_for_ever(), name="read copy")
        try:
            yield
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._redis.aclose()

    def changed(self, customer_ids: Sequence[str]) -> None:
        """Marks customers to be written; returns at once."""
        self._changed.update(dict.fromkeys(customer_ids))
        if (
            len(self._changed) > MOST_CHANGED
        ):  # Redis has been away for long: all partitions anew, once it is back
            self._changed.clear()
            self._rebuilding.clear()
            self._run = uuid4().hex

    def waiting_customers(self) -> int:
        """Changed, and not yet written."""
        return len(self._changed)

    def waiting_partitions(self) -> int:
        """Being written in full."""
        return len(self._rebuilding)

    def lag_seconds(self) -> float:
        """0 while nothing waits, else since the last write that succeeded."""
        waits = self._changed or self._rebuilding
        return time.monotonic() - self._written_at if waits else 0.0

    async def read(self, customer_id: str, kind: Copied) -> StaleCopy | None:
        """The copy, None when there is none or Redis does not answer in time."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found: list[Any] = await self._redis.hmget(
                    self._key(customer_id), ["v", "at", "gone", kind.value]
                )
        except (RedisError, OSError, TimeoutError):
            return None
        version, written_at, gone, body = found
        if version is None or (body is None and gone is None):
            return None
        age_ms = time.time() * 1000 - int(written_at)
        return StaleCopy(None if gone else body, int(version), max(0, int(age_ms / 1000)))

    async def _write_for_ever(self) -> None:
        backoff = 0.0
        while True:
            try:
                busy = await self._write_some()
            except (RedisError, OSError, TimeoutError) as error:
                metrics.READ_COPY_ERRORS.inc()
                if backoff == 0.0:
                    log.warning("Redis does not answer; the read copy waits", error=type(error).__name__)
                backoff = min(max(2 * backoff, FIRST_BACKOFF_SECONDS), LONGEST_BACKOFF_SECONDS)
                self._markers_due = 0.0
                await asyncio.sleep(backoff)
                continue
            if backoff:
                log.info("Redis answers again")
                backoff = 0.0
            await asyncio.sleep(max(PAUSE_SECONDS, IDLE_PER_BUSY * busy))

    async def _write_some(self) -> float:
        """Writes one pipeline of changed customers and of those being rebuilt. Returns the seconds it took to render."""
        if time.monotonic() >= self._markers_due:
            await self._look_at_markers()
            self._markers_due = time.monotonic() + MARKER_SECONDS
        ids, finished = self._next_ids()
        started = time.perf_counter()
        pipeline = self._redis.pipeline(transaction=False)
        for customer_id in ids:
            self._render(pipeline, customer_id)
        busy = time.perf_counter() - started
        for partition in finished:
            pipeline.eval(_FINISH, 1, self._marker(partition), self._building, self._run)
        try:
            if len(pipeline):
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            self.changed(ids)
            raise
        self._written_at = time.monotonic()
        return busy

    async def _look_at_markers(self) -> None:
        held = sorted(self._gateway.held_partitions())
        self._rebuilding = {p: rest for p, rest in self._rebuilding.items() if p in held}
        if not held:
            return
        markers = await self._redis.mget([self._marker(partition) for partition in held])
        for partition, marker in zip(held, markers, strict=True):
            expected = self._building if partition in self._rebuilding else self._run
            if marker != expected.encode():
                await self._redis.set(self._marker(partition), self._building)
                self._start_rebuilding(partition)

    def _start_rebuilding(self, partition: int) -> None:
        try:
            self._rebuilding[partition] = iter(self._gateway.customers(partition))
        except NotOwned:  # it left while we asked Redis
            self._rebuilding.pop(partition, None)

    def _next_ids(self) -> tuple[list[str], list[int]]:
        """Up to BATCH customers, the changed ones first, and the partitions whose last customer is among them."""
        ids = list(islice(self._changed, BATCH))
        for customer_id in ids:
            del self._changed[customer_id]
        finished = []
        for partition, rest in list(self._rebuilding.items()):
            wanted = BATCH - len(ids)
            try:
                more = [customer.id for customer in islice(rest, wanted)]
            except NotOwned:
                del self._rebuilding[partition]
                continue
            ids += more
            if len(more) < wanted:
                finished.append(partition)
                del self._rebuilding[partition]
        return ids, finished

    def _render(self, pipeline: Pipeline, customer_id: str) -> None:
        key, now = self._key(customer_id), int(time.time() * 1000)
        try:
            customer = self._gateway.customer(customer_id)
            ledger = () if customer is None else self._gateway.ledger(customer_id)
        except NotOwned:  # its new owner writes it
            return
        if customer is None:  # not registered yet
            return
        if customer.erased:
            pipeline.eval(_ERASE, 1, key, customer.version, now)
            return
        view, points = customer_view(customer, self._currency), points_view(customer, ledger)
        pipeline.eval(_WRITE, 1, key, customer.version, now, encode(view), encode(points))

    def _key(self, customer_id: str) -> str:
        return f"{self._app_id}:copy:{customer_id}"

    def _marker(self, partition: int) -> str:
        return f"{self._app_id}:copied:{partition}"

    @property
    def _building(self) -> str:
        return f"building {self._run}"
