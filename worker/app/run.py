"""Starts a worker (topics, stores, engine, Faust, HTTP), and returns its exit code."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp.web import Application, AppRunner, SockSite, TCPSite
from mode import Service

from agents.batch import Batch
from agents.processor import Processor
from agents.routing import Routing
from api import app as api
from api.dispatch import refuse_unreadable
from tables import needed
from worker import native
from worker.app import memory, slots
from worker.app.live_gateway import LiveGateway
from worker.engine import patches
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode, die
from worker.engine.faust_app import build
from worker.engine.isolation import ISOLATION
from worker.engine.lanes import Pace
from worker.engine.patches.app import EngineApp
from worker.engine.patches.faust_worker import EngineWorker
from worker.engine.store import MemoryStores, RocksStores, Store, Stores
from worker.engine.transaction import METADATA_MAX_AGE_MS
from worker.engine.unit import POSITIONS
from worker.engine.watchdog import Watchdog
from worker.kafka import admin
from worker.kafka.topics import Catalogue
from worker.membership import Member
from worker.observability import metrics
from worker.observability.spans import spans_from_environment
from worker.operations import application, lost_topics
from worker.operations.patience import until_done
from worker.processes.place import Place
from worker.release import DATA_FORMAT
from worker.settings import PREFIX, ConfigurationError, Settings
from worker.wire.rules_file import load_rules

log = structlog.get_logger(__name__)

_GROUP_OFFSETS_EVERY_S = 5.0
_GIVE_BACK_EVERY_S = 30.0
_LOOK_EVERY_S = 0.25
_HELD_LOOP_S = (
    10.0  # independent of Kafka's time-outs, because code that awaits Kafka yields to the event loop
)


def run(settings: Settings, bootstrap: str, place: Place | None = None) -> int:
    """Run a worker until it is told to stop.

    Args:
        settings: the worker's settings.
        bootstrap: Kafka's bootstrap servers.
        place: of this process among those of its worker; None if it is the only one.

    Returns:
        The process's exit code.

    Raises:
        ConfigurationError: a setting, or a file that it names, cannot be used.
        RulesFileError: the rules file cannot be used.
        TopicMismatch: an existing topic has another partition count.
        UnknownVersion: an installed library has another version than the patches are written for.
    """
    codecs = _codecs(settings)
    patches.install(refuse_unreadable)
    memory.share_one_heap()
    catalogue = settings.catalogue()
    rules = load_rules(settings.rules_file)
    client = settings.kafka_client(bootstrap)
    number = None if place is None else place.number
    port = settings.own_port(number) or _free_port(settings.web_host)
    me = application.myself(settings, rules, settings.own_url(number, port))
    routing = Routing(catalogue, settings.partitions, ce_type=settings.ce_type_header)
    gateway = LiveGateway(catalogue, routing, me)
    parts, tls = api.build(settings, gateway, rules, place=place), settings.web_ssl_context()
    routing.limits = asyncio.run(
        until_done(lambda: _prepare(settings, client, catalogue, me), settings.start_patience_s)
    )
    slot = slots.take(settings.stores_dir) if settings.stores_dir is not None else None
    stores: Stores = RocksStores(slot.path) if slot else MemoryStores()
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
        client=client
        | {
            "request_timeout_ms": settings.kafka_request_timeout_s * 1_000,
            "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        },
        stores=stores,
        tables=needed(payment_join=settings.payment_join),
        inputs=tuple(inputs.values()),
        prompt=routing.prompt,
        process=processor,
        sweep=processor.sweep,
        pace=Pace(deadline_s=settings.batch_deadline_s),
        transaction_timeout_ms=settings.transaction_timeout_s * 1_000,
        compression=None if settings.compression == "none" else settings.compression,
        observer=metrics.EngineMetrics(),
        inspect=lambda store: _inspect(store, gateway, me),
        may_take=gateway.rules.may_take,
        remember_loss=processor.remember_loss,
    )
    web = {
        "web_port": port,
        "web_ssl_context": tls,
        "canonical_url": me.url,
        "web_application_options": parts.application_options(),
    }
    app = build(settings, bootstrap, engine, inputs, web, me)
    app.mount(parts)
    gateway.attach(app, engine, client)
    metrics.watch_worker(gateway)
    metrics.BUILD.info({"release": me.release, "commit": me.commit, "format": str(DATA_FORMAT)})
    log.info(
        "worker starts",
        url=me.url,
        partitions=settings.partitions,
        release=me.release,
        commit=me.commit,
        native_codecs=codecs,
    )
    return _execute(app, Companion(app, gateway, settings, parts, place))


def _codecs(settings: Settings) -> str:
    """Choose the codecs, and say which are used. Raises ConfigurationError if those in C are required and missing."""
    try:
        return native.choose(settings.native)
    except native.NativeMissing as error:
        raise ConfigurationError(f"{PREFIX}NATIVE: the codecs in C are required, but {error}.") from None


def _counted(gateway: LiveGateway, routing: Routing) -> Callable[[Batch, list[str], int], None]:
    """The function that the processor calls with each committed batch. It informs the gateway, metrics and spans."""

    def committed(batch: Batch, changed: list[str], inputs: int) -> None:
        gateway.committed(batch, changed, inputs)
        events = batch.unit.outbox.get((routing.events, batch.unit.partition), ())
        types = metrics.count_output(events, batch.results, batch.dead_letters)
        gateway.published(batch.unit.partition, events, types)
        for end in batch.span_ends:
            end()

    return committed


def _inspect(store: Store, gateway: LiveGateway, me: Member) -> None:
    """Look at a restored store before it is used."""
    gateway.rules.remember(application.inspect(store, me))
    gateway.restored(store)


async def _prepare(
    settings: Settings, client: dict[str, Any], catalogue: Catalogue, me: Member
) -> Mapping[str, int]:
    """Create and check the topics. Ends the process if an input topic or a changelog was lost.

    Returns:
        The largest record batch of each topic that existed before, in bytes.
    """
    await application.check(client, catalogue, me)
    lost = await lost_topics.loss(client, catalogue, settings.stores_dir)
    if lost is not None:
        die(ExitCode.STORE_AHEAD, lost)
    tables = needed(payment_join=settings.payment_join)
    topics = catalogue.all([table.name for table in (*tables, POSITIONS, ISOLATION)])
    report = await admin.ensure_topics(client, topics, settings.replication_factor)
    for warning in report.warnings:
        log.warning("topic differs", what=warning)
    return report.record_bytes


def _execute(app: EngineApp, companion: "Companion") -> int:
    memory.quieten_gc()
    worker = EngineWorker(app, companion, loglevel="WARNING", override_logging=False)
    worker.watchdog = Watchdog(_HELD_LOOP_S)
    worker.spinner = (
        None  # it writes to the terminal, and above INFO it sets the root logger to DEBUG permanently
    )
    try:
        worker.execute_from_commandline()  # always raises SystemExit
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1


class Companion(Service):
    """The services beside the app: the gateway, other servers than WEB_PORT's, group offsets, and returning memory."""

    logger = logging.getLogger("mode.worker")  # for mode's lines about starting and stopping

    def __init__(
        self,
        app: EngineApp,
        gateway: LiveGateway,
        settings: Settings,
        parts: api.ApiParts,
        place: Place | None,
    ) -> None:
        super().__init__()
        self._app = app
        self._gateway = gateway
        self._settings = settings
        self._parts = parts
        self._place = place
        self._servers: list[AppRunner] = []

    async def on_start(self) -> None:
        """Start the gateway, the metrics server if METRICS_PORT is set, and the one that siblings ask."""
        await self._gateway.start(desk=self._settings.desk)
        if self._settings.metrics_port is not None:
            await self._start_metrics(self._settings.web_host, self._settings.metrics_port)
        if self._place is not None:
            server = await self._server(self._parts.state_application())
            await SockSite(server, _inherited(self._place.state)).start()

    async def _start_metrics(self, host: str, port: int) -> None:
        server, tls = await self._server(self._parts.metrics_application()), self._settings.web_ssl_context()
        if self._place is None:
            await TCPSite(server, host, port, ssl_context=tls).start()
        else:
            for listener in map(_inherited, self._place.metrics):
                await SockSite(server, listener, ssl_context=tls).start()

    async def _server(self, application: Application) -> AppRunner:
        """A server that has no socket yet, and is stopped with this service."""
        self._servers.append(AppRunner(application))
        await self._servers[-1].setup()
        return self._servers[-1]

    async def on_stop(self) -> None:
        """Stop the servers and the gateway."""
        for server in self._servers:
            await server.cleanup()
        await self._gateway.stop()

    @Service.task
    async def _share_the_port(self) -> None:
        """Accept connections of the shared port, once they are answered here as well as by the siblings.

        A process that was started again does not know the owners of partitions yet. It waits while a sibling is ready.
        """
        siblings = self._parts.context.siblings
        if self._place is None or siblings is None:
            return
        while not self.should_stop:
            if self._app.serves and (
                self._gateway.readiness().ready or not await siblings.somebody_is_ready()
            ):
                break
            await self.sleep(_LOOK_EVERY_S)
        for listener in self._place.web:
            if not self._app.serves:  # it has stopped while this asked the siblings
                return
            await self._app.serve_at(_inherited(listener))

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


def _inherited(number: int) -> socket.socket:
    """The socket of a file descriptor that the supervisor passed on."""
    return socket.socket(fileno=number)


def _free_port(host: str) -> int:
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
