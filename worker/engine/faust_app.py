"""The Faust app: an agent for each input, a Faust table for each assigned table of the engine, and the web server."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import faust
from faust.types import TopicT
from faust.types.auth import CredentialsT
from yarl import URL

from worker.engine.engine import Engine
from worker.engine.patches.app import EngineApp
from worker.engine.patches.assignor import EngineAssignor
from worker.engine.patches.recovery import EngineTableManager
from worker.engine.transaction import METADATA_MAX_AGE_MS
from worker.membership import Member
from worker.private_folders import make_private
from worker.settings import Settings

_REBALANCE_S = 20.0  # enough for Kafka's own failover: a broker's session of 9 s and an election
SESSION_S = 6.0
_MAX_FETCH_BYTES = 1 << 20  # per partition; a larger record waits until its partition comes first


def build(
    settings: Settings,
    bootstrap: str,
    engine: Engine,
    inputs: Mapping[str, str],
    web: dict[str, Any],
    me: Member,
) -> EngineApp:
    """Make the app, with its agents and tables.

    Args:
        settings: the worker's settings.
        bootstrap: Kafka's addresses, separated by commas.
        engine: takes every fetched batch.
        inputs: agent name -> topic name.
        web: Faust's web_* settings and canonical_url.
        me: what this worker tells the other members of its group.
    """
    make_private(settings.data_dir / "faust")
    app = EngineApp(
        settings.app_id,
        broker=[URL(f"kafka://{server}") for server in bootstrap.split(",")],
        broker_credentials=_credentials(settings, bootstrap),
        store="memory://",
        datadir=settings.data_dir.absolute() / "faust",
        TableManager=EngineTableManager,
        PartitionAssignor=EngineAssignor,
        topic_partitions=settings.partitions,
        table_standby_replicas=settings.standby_replicas,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_MAX_FETCH_BYTES,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=1.0,
        broker_request_timeout=float(settings.kafka_request_timeout_s),
        broker_rebalance_timeout=_REBALANCE_S,
        broker_max_poll_records=20_000,
        producer_request_timeout=float(settings.kafka_request_timeout_s),
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        stream_wait_empty=False,
        web_bind=settings.web_host,
        web_tables_enabled=False,
        web_router_enabled=False,
        web_graph_enabled=False,
        web_stats_enabled=False,
        web_metrics_enabled=False,
        worker_redirect_stdouts=False,
        **web,
    )
    app.engine, app.me = engine, me
    for name, topic in inputs.items():
        app.agent(_raw_topic(app, topic, settings.partitions), name=name)(_on_batches(engine))
    for table in engine.assigned_tables:
        app.Table(table.name, partitions=settings.partitions, key_type=bytes, value_type=bytes)
    return app


def _raw_topic(app: EngineApp, name: str, partitions: int) -> TopicT:
    return app.topic(
        name,
        partitions=partitions,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )


def _credentials(settings: Settings, bootstrap: str) -> CredentialsT | None:
    client = settings.kafka_client(bootstrap)
    context = client.get("ssl_context")
    if "sasl_mechanism" in client:
        return faust.SASLCredentials(
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            mechanism=client["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None


def _on_batches(engine: Engine) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """The body of an agent: hand every fetched batch of its stream to the engine."""

    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            await engine.put(message.topic, message.partition, message.generation_id, event.value)

    return take
