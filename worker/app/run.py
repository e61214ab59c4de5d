"""Starting a worker: topics, stores, engine, Faust, HTTP; and ending with an exit code."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp.web import AppRunner, TCPSite
from mode import Service

from agents.batch import Batch, Routing
from agents.processor import Processor
from api import app as api
from tables import needed
from worker import admin, metrics
from worker.app import memory, slots
from worker.app.live_gateway import LiveGateway
from worker.engine import guard
from worker.engine.engine import Engine
from worker.engine.faust_app import build
from worker.engine.faust_worker import EngineWorker
from worker.engine.hooks import EngineApp
from worker.engine.partition import POSITIONS
from worker.engine.store import MemoryStores, RocksStores, Stores
from worker.settings import Settings
from worker.spans import spans_from_environment
from worker.topics import Catalogue
from worker.wire.rules_file import load_rules

log = structlog.get_logger(__name__)

_GROUP_OFFSETS_EVERY_S = 5.0
_GIVE_BACK_EVERY_S = 30.0


def run(settings: Settings, bootstrap: str) -> int:
    """Run a worker until it is told to stop. Returns the process's exit code.

    Raises TopicMismatch, RulesFileError or guard.UnknownVersion before anything has started.
    """
    guard.check()
    memory.share_one_heap()
    catalogue = settings.catalogue()
    rules = load_rules(settings.rules_file)
    client = settings.kafka_client(bootstrap)
    _ensure_topics(settings, client, catalogue)
    slot = slots.take(settings.data_dir / "store") if settings.store == "rocksdb" else None
    stores: Stores = RocksStores(slot.path) if slot else MemoryStores()
    routing = Routing(catalogue, settings.partitions)
    gateway = LiveGateway(catalogue, routing)
    inputs = {
        "commands": routing.commands,
        "orders": routing.orders,
        "returns": routing.returns,
        "payments": routing.payments,
        "inbox": routing.inbox,
        "email-claims": routing.email_claims,
        **({} if routing.order_index is None else {"order-index": routing.order_index}),
    }
    processor = Processor(routing, rules, _counted(gateway, routing), begin_span=spans_from_environment())
    engine = Engine(
        app_id=settings.app_id,
        client=client,
        stores=stores,
        tables=needed(payment_join=settings.payment_join),
        inputs=tuple(inputs.values()),
        prompt=routing.prompt,
        process=processor,
        sweep=processor.sweep,
        observer=metrics.EngineMetrics(),
    )
    port = settings.web_port or _free_port(settings.web_host)
    url = settings.public_url(port)
    parts = api.build(settings, gateway, rules.currency)
    web = {"web_port": port, "canonical_url": url, "web_application_options": parts.application_options()}
    app = build(settings, bootstrap, engine, inputs, web)
    app.mount(parts)
    gateway.attach(app, engine, client)
    metrics.watch_worker(gateway)
    log.info("worker starts", url=url, partitions=settings.partitions)
    return _execute(app, Companion(app, gateway, settings))


def _counted(gateway: LiveGateway, routing: Routing) -> Callable[[Batch, list[str], int], None]:
    """What the processor calls with each committed batch: whoever waits for its results, metrics, spans."""

    def committed(batch: Batch, changed: list[str], inputs: int) -> None:
        gateway.committed(batch, changed, inputs)
        events = batch.unit.outbox.get((routing.events, batch.unit.partition), ())
        metrics.count_output(events, batch.results, batch.dead_letters)
        for end in batch.span_ends:
            end()

    return committed


def _ensure_topics(settings: Settings, client: dict[str, Any], catalogue: Catalogue) -> None:
    tables = needed(payment_join=settings.payment_join)
    topics = catalogue.all([table.name for table in (*tables, POSITIONS)])
    report = asyncio.run(admin.ensure_topics(client, topics, settings.replication_factor))
    for warning in report.warnings:
        log.warning("topic differs", what=warning)


def _execute(app: EngineApp, companion: "Companion") -> int:
    memory.quieten_gc()
    worker = EngineWorker(app, companion, loglevel="WARNING", override_logging=False)
    worker.spinner = (
        None  # it would write to the terminal, and above INFO set the root logger to DEBUG for good
    )
    try:
        worker.execute_from_commandline()  # ends in SystemExit
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1


class Companion(Service):
    """What runs beside the app: the gateway's producer, metrics on a port of their own, group offsets for lag tools,
    and giving memory back."""

    logger = logging.getLogger("mode.worker")  # its talk about starting and stopping

    def __init__(self, app: EngineApp, gateway: LiveGateway, settings: Settings) -> None:
        super().__init__()
        self._app = app
        self._gateway = gateway
        self._settings = settings
        self._metrics: AppRunner | None = None

    async def on_start(self) -> None:
        await self._gateway.start()
        if self._settings.metrics_port is not None:
            self._metrics = AppRunner(api.metrics_application())
            await self._metrics.setup()
            await TCPSite(self._metrics, self._settings.web_host, self._settings.metrics_port).start()

    async def on_stop(self) -> None:
        if self._metrics is not None:
            await self._metrics.cleanup()
        await self._gateway.stop()

    @Service.task
    async def _group_offsets(self) -> None:
        while not self.should_stop:
            await self.sleep(_GROUP_OFFSETS_EVERY_S)
            positions = self._app.engine.progress()
            if positions:
                await self._app.commit_group_offsets(positions)

    @Service.task
    async def _free_memory(self) -> None:
        while not self.should_stop:
            await self.sleep(_GIVE_BACK_EVERY_S)
            memory.give_back()


def _free_port(host: str) -> int:
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
