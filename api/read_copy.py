"""The read copy in Redis, from which reads are answered (as stale) while the owner of a customer is away.

Rules:
- The tables are the truth, and the copy never delays the stream. A commit only marks customers as changed. One
  background task writes them in small pipelines, and rests at least four times as long as it renders.
- A pipeline is limited in time and in number of customers. The next one takes the rest.
- A customer that changed ten times since the last write is written once.
- Redis may be down, slow or flushed. Short time limits and growing pauses keep this from affecting anything else.
- A partition is written in full if its marker in Redis is not that of this process. Then Redis was flushed, or a former
  owner may have died before it wrote its changes.
- A partition is written in pages. Between two pages only the last id is kept, because the store may change, or close and
  open again.
- An unexpected error is logged and counted, and the current customer is left out. Writing continues after a pause.
- An older version never replaces a newer one. Nothing replaces the tombstone of an erased customer. The tombstone holds
  only the version and a time, and does not expire.

Keys:
- `<app id>:copy:<customerId>` is a hash with v (version) and at (time of writing in ms). It also has gone, or the fields
  of Copied: c (Customer), p (reward points), h (HistoryKeys of the lines in p), t (CopiedVersions) and e (explanation).
- `<app id>:copied:<partition>` is the marker.

Several applications may share one Redis if their APP_IDs differ.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.explained.standing import explanation_view
from api.views import LEDGER_LINES, customer_view, encode, points_view
from worker.domain.rules import RuleBook
from worker.domain.state import Customer, HistoryKey, VersionEntry
from worker.engine.exits import ExitCode, die
from worker.engine.lasting import lasting
from worker.engine.store import StoreFailed
from worker.gateway import Gateway, NotOwned
from worker.observability import metrics

TIMEOUT_SECONDS = 2.0  # a busy machine is not a slow Redis
BATCH = 25  # customers per pipeline
SLICE_SECONDS = 0.01  # of rendering; then the pipeline is sent with what it has
PAUSE_SECONDS = 0.02
IDLE_PER_BUSY = 4.0  # seconds of rest for each second of work
MARKER_SECONDS = 1.0
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 10.0
MOST_CHANGED = 100_000

_WRITE = """
local old = redis.call('HMGET', KEYS[1], 'v', 'gone')
if old[2] or (old[1] and tonumber(ARGV[1]) < tonumber(old[1])) then return 0 end
return redis.call('HSET', KEYS[1], 'v', ARGV[1], 'at', ARGV[2], 'c', ARGV[3], 'p', ARGV[4], 'h', ARGV[5], 't', ARGV[6], 'e', ARGV[7])
"""
_ERASE = """
redis.call('HDEL', KEYS[1], 'c', 'p', 'h', 't', 'e')
return redis.call('HSET', KEYS[1], 'gone', '1', 'v', ARGV[1], 'at', ARGV[2])
"""
_FINISH = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2]) end"

log = structlog.get_logger(__name__)


class Copied(StrEnum):
    """What the copy holds of a customer. The value is the field of the Redis hash."""

    CUSTOMER = "c"
    REWARD_POINTS = "p"
    HISTORY = "h"
    TIMELINE = "t"
    EXPLANATION = "e"


class HistoryKeys(msgspec.Struct, frozen=True):
    """The keys of the lines of the copied reward points.

    Attributes:
        keys: in the order of the lines.
        more: whether the history has further lines.
    """

    keys: tuple[HistoryKey, ...]
    more: bool


class CopiedVersions(msgspec.Struct, frozen=True):
    """The ledger lines of the last LEDGER_LINES versions, the latest first. They are made into sentences when read."""

    lines: tuple[VersionEntry, ...]


class StaleCopy(msgspec.Struct, frozen=True):
    """A customer from the copy.

    Attributes:
        bodies: JSON, one for each representation that was asked for. Empty if the customer was erased.
        version: the customer's.
        age_seconds: since it was written.
    """

    bodies: tuple[bytes, ...]
    version: int
    age_seconds: int


class _Room:
    """The limits of one pipeline. ids: the customers in it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._ends = time.perf_counter() + SLICE_SECONDS

    def left(self, of: int = BATCH) -> int:
        """How many more customers the pipeline may hold; 0 once SLICE_SECONDS are over. of: its limit."""
        return max(0, of - len(self.ids)) if time.perf_counter() < self._ends else 0


class ReadCopy:
    """Writes the customers of the held partitions to Redis while `running`, and reads those of all partitions.

    Args:
        url: of Redis, with its password.
        app_id: prefix of the keys.
        gateway: the worker whose tables are copied.
        rules: the rules file.
        most_changed: how many changed customers may wait. With more, all partitions are written in full.
        first_backoff_s: the first pause after an error.
    """

    def __init__(
        self,
        url: str,
        app_id: str,
        gateway: Gateway,
        rules: RuleBook,
        *,
        most_changed: int = MOST_CHANGED,
        first_backoff_s: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._app_id = app_id
        self._gateway = gateway
        self._rules = rules
        self._most_changed = most_changed
        self._first_backoff_s = first_backoff_s
        self._changed: dict[str, None] = {}  # used as an ordered set
        self._rebuilding: dict[int, str] = {}  # partition → the last id that was written
        self._markers_due = 0.0  # time.monotonic()
        self._written_at = time.monotonic()
        self._run = uuid4().hex
        self._ends = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to commits and write changed customers until the block ends."""
        self._gateway.on_commit(self.changed)
        metrics.watch_read_copy(self)
        writer = lasting(asyncio.create_task(self._write_for_ever(), name="read copy"))
        try:
            yield
        finally:
            self._ends = (
                True  # because Python 3.11 loses a cancellation if an answer of Redis has arrived already
            )
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._redis.aclose()

    def changed(self, customer_ids: Sequence[str]) -> None:
        """Mark customers as changed. Does not block."""
        self._changed.update(dict.fromkeys(customer_ids))
        if (
            len(self._changed) > self._most_changed
        ):  # Redis has been away for long. All partitions are written in full once it is back.
            self._changed.clear()
            self._rebuilding.clear()
            self._run = uuid4().hex

    def waiting_customers(self) -> int:
        """The number of changed customers that are not written yet."""
        return len(self._changed)

    def waiting_partitions(self) -> int:
        """The number of partitions that are being written in full."""
        return len(self._rebuilding)

    def lag_seconds(self) -> float:
        """Seconds since the last successful write; 0 while nothing waits."""
        waits = self._changed or self._rebuilding
        return time.monotonic() - self._written_at if waits else 0.0

    async def read(self, customer_id: str, *kinds: Copied) -> StaleCopy | None:
        """The copy of a customer; None if there is none or Redis does not answer in time."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found: list[Any] = await self._redis.hmget(
                    self._key(customer_id), ["v", "at", "gone", *kinds]
                )
        except (RedisError, OSError, TimeoutError):
            return None
        version, written_at, gone, *bodies = found
        if version is None or (None in bodies and gone is None):
            return None
        try:
            age_ms = time.time() * 1000 - int(written_at)
            return StaleCopy(() if gone else tuple(bodies), int(version), max(0, int(age_ms / 1000)))
        except (ValueError, TypeError):  # not written by a worker
            return None

    async def _write_for_ever(self) -> None:
        backoff = 0.0
        while not self._ends:
            try:
                busy = await self._write_some()
            except StoreFailed as error:  # as in a batch, the worker cannot continue without its store
                die(ExitCode.STORE_FAILED, str(error), error=error)
            except Exception as error:
                self._tell(error, first=backoff == 0.0)
                backoff = min(max(2 * backoff, self._first_backoff_s), LONGEST_BACKOFF_SECONDS)
                self._markers_due = 0.0
                await asyncio.sleep(backoff)
                continue
            if backoff:
                log.info("the read copy is written again")
                backoff = 0.0
            await asyncio.sleep(max(PAUSE_SECONDS, IDLE_PER_BUSY * busy))

    def _tell(self, error: Exception, *, first: bool) -> None:
        if not isinstance(error, (RedisError, OSError, TimeoutError)):
            metrics.READ_COPY_FAILURES.inc()
            log.error("the read copy met an unexpected error", error=type(error).__name__, exc_info=error)
            return
        metrics.READ_COPY_ERRORS.inc()
        if first:
            log.warning("Redis does not answer; the read copy waits", error=type(error).__name__)

    async def _write_some(self) -> float:
        """Write one pipeline of changed customers and of pages. Returns the seconds that rendering took."""
        if time.monotonic() >= self._markers_due:
            await self._look_at_markers()
            self._markers_due = time.monotonic() + MARKER_SECONDS
        started, room = time.perf_counter(), _Room()
        pipeline = self._redis.pipeline(transaction=False)
        try:
            self._render_changed(pipeline, room)
            finished = [
                each for each in list(self._rebuilding) if self._render_partition(pipeline, room, each)
            ]
            busy = time.perf_counter() - started
            for partition in finished:
                pipeline.eval(_FINISH, 1, self._marker(partition), self._building, self._run)
            if len(pipeline):
                await pipeline.execute()
        except Exception:
            self.changed(room.ids)
            raise
        for partition in finished:
            self._rebuilding.pop(partition, None)
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
                self._rebuilding[partition] = ""

    def _render_changed(self, pipeline: Pipeline, room: _Room) -> None:
        """Render changed customers. While a partition is written in full, they get at most half of the pipeline."""
        most = BATCH // 2 if self._rebuilding else BATCH
        while self._changed and room.left(most):
            customer_id = next(iter(self._changed))
            del self._changed[customer_id]
            self._render(pipeline, customer_id)
            room.ids.append(customer_id)

    def _render_partition(self, pipeline: Pipeline, room: _Room, partition: int) -> bool:
        """Render the next page of a partition. Returns whether it was the last one."""
        most = room.left()
        if not most:
            return False
        try:
            page = self._gateway.customer_ids(partition, self._rebuilding[partition], most)
        except NotOwned:  # its new owner writes it
            del self._rebuilding[partition]
            return False
        for customer_id in page:
            if not room.left():
                return False
            self._rebuilding[partition] = customer_id
            self._render(pipeline, customer_id)
            room.ids.append(customer_id)
        return len(page) < most

    def _render(self, pipeline: Pipeline, customer_id: str) -> None:
        key, now = self._key(customer_id), int(time.time() * 1000)
        try:
            customer = self._gateway.customer(customer_id)
            views = () if customer is None or customer.erased else self._views(customer)
        except NotOwned:  # its new owner writes it
            return
        if customer is None:  # not registered yet
            return
        if customer.erased:
            pipeline.eval(_ERASE, 1, key, customer.version, now)
            return
        pipeline.eval(_WRITE, 1, key, customer.version, now, *map(encode, views))

    def _views(self, customer: Customer) -> tuple[msgspec.Struct, ...]:
        """What the copy holds, in the order of Copied. Raises NotOwned."""
        lines = self._gateway.points_history(customer.id, LEDGER_LINES + 1)
        shown = lines[:LEDGER_LINES]
        keys = HistoryKeys(tuple(HistoryKey.of(line) for _, _, line in shown), len(lines) > len(shown))
        versions = self._gateway.versions(customer.id, customer.version - LEDGER_LINES + 1, customer.version)
        return (
            customer_view(customer, self._rules.currency),
            points_view(customer, shown),
            keys,
            CopiedVersions(tuple(versions)),
            explanation_view(customer, self._gateway, self._rules),
        )

    def _key(self, customer_id: str) -> str:
        return f"{self._app_id}:copy:{customer_id}"

    def _marker(self, partition: int) -> str:
        return f"{self._app_id}:copied:{partition}"

    @property
    def _building(self) -> str:
        return f"building {self._run}"
