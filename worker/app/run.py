"""Starting a worker: topics, stores, engine, Faust, HTTP; and ending with an exit code."""

import asyncio
import contextlib
import gc
import logging
import socket
from typing import Any

import faust
import structlog
from mode import Service

from agents.batch import Routing
from agents.processor import Processor
from tables import ALL
from worker import admin
from worker.app import slots
from worker.app.live_gateway import LiveGateway
from worker.engine import guard
from worker.engine.engine import Engine
from worker.engine.faust_app import build
from worker.engine.hooks import EngineApp
from worker.engine.partition import POSITIONS
from worker.engine.store import MemoryStores, RocksStores, Stores
from worker.settings import Settings
from worker.topics import Catalogue
from worker.wire.rules_file import load_rules

log = structlog.get_logger(__name__)

_GROUP_OFFSETS_EVERY_S = 5.0


def run(settings: Settings, bootstrap: str) -> int:
    """Run a worker until it is told to stop. Returns the process's exit code.

    Raises TopicMismatch, RulesFileError or guard.UnknownVersion before anything has started.
    """
    guard.check()
    catalogue = Catalogue(
        topic_prefix=settings.topic_prefix,
        app_id=settings.app_id,
        partitions=settings.partitions,
        retention_days=settings.retention_days,
        payment_join=settings.payment_join,
    )
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
        "payments": routing.payments,
        "inbox": routing.inbox,
        "email-claims": routing.email_claims,
    }
    engine = Engine(
        app_id=settings.app_id,
        client=client,
        stores=stores,
        tables=ALL,
        inputs=tuple(inputs.values()),
        process=Processor(routing, rules, gateway.committed),
    )
    port = settings.web_port or _free_port(settings.web_host)
    url = settings.public_url(port)
    web: dict[str, Any] = {"web_port": port, "canonical_url": url}
    app = build(settings, bootstrap, engine, inputs, web)
    gateway.attach(app, engine, client)
    log.info("worker starts", url=url, partitions=settings.partitions)
    return _execute(app, gateway)


def _ensure_topics(settings: Settings, client: dict[str, Any], catalogue: Catalogue) -> None:
    topics = catalogue.all([table.name for table in (*ALL, POSITIONS)])
    report = asyncio.run(admin.ensure_topics(client, topics, settings.replication_factor))
    for warning in report.warnings:
        log.warning("topic differs", what=warning)


def _execute(app: EngineApp, gateway: LiveGateway) -> int:
    _quieten_gc()
    worker = faust.Worker(app, Companion(app, gateway), loglevel="WARNING", override_logging=False)
    worker.spinner = (
        None  # it would write to the terminal, and above INFO set the root logger to DEBUG for good
    )
    try:
        worker.execute_from_commandline()  # ends in SystemExit
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1


class Companion(Service):
    """What runs beside the app: the gateway's producer, and group offsets for lag tools."""

    logger = logging.getLogger("mode")  # its talk about starting and stopping

    def __init__(self, app: EngineApp, gateway: LiveGateway) -> None:
        super().__init__()
        self._app = app
        self._gateway = gateway

    async def on_start(self) -> None:
        await self._gateway.start()

    async def on_stop(self) -> None:
        await self._gateway.stop()

    @Service.task
    async def _group_offsets(self) -> None:
        while not self.should_stop:
            await self.sleep(_GROUP_OFFSETS_EVERY_S)
            positions = self._app.engine.progress()
            if positions:
                await self._app.commit_group_offsets(positions)


def _free_port(host: str) -> int:
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _quieten_gc() -> None:
    """What was imported stays; a batch makes few cycles. Saves a quarter of the CPU (DESIGN, section 9)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
