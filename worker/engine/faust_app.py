"""The Faust app: agents on every input, one Faust table per table of the engine's, the web server, and nothing else of it."""

from collections.abc import Mapping
from typing import Any

import faust
from faust.types import TopicT
from faust.types.auth import CredentialsT
from yarl import URL

from worker.engine.engine import Engine
from worker.engine.hooks import EngineApp, EngineTableManager, on_batches
from worker.settings import Settings

SESSION_S = 6.0
_MAX_FETCH_BYTES = 1 << 20  # a partition; a larger record waits until its partition comes first


def build(
    settings: Settings, bootstrap: str, engine: Engine, inputs: Mapping[str, str], web: dict[str, Any]
) -> EngineApp:
    """inputs: agent name -> topic name. web: Faust's web_* settings and canonical_url."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)  # Faust makes its own folder, but not the parent
    app = EngineApp(
        settings.app_id,
        broker=[URL(f"kafka://{server}") for server in bootstrap.split(",")],
        broker_credentials=_credentials(settings, bootstrap),
        store="memory://",
        datadir=settings.data_dir.absolute() / "faust",
        TableManager=EngineTableManager,
        topic_partitions=settings.partitions,
        table_standby_replicas=settings.standby_replicas,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=_MAX_FETCH_BYTES,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=1.0,
        broker_request_timeout=20.0,
        broker_rebalance_timeout=10.0,
        broker_max_poll_records=20_000,
        producer_request_timeout=20.0,
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
    app.engine = engine
    for name, topic in inputs.items():
        app.agent(_raw_topic(app, topic, settings.partitions), name=name)(on_batches(engine))
    for table in engine.tables:
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
