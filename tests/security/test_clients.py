"""No Kafka client is made in another way than with the settings' security."""

import ast
import ssl
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from tests.source import parsed
from worker.engine.faust_app import _credentials
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
SERVER = "kafka.example.com:9093"
SASL = {
    "kafka_sasl_username": "worker",
    "kafka_sasl_password": "secret",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
}
KINDS = {"AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient", "AIOKafkaClient", "create_conn"}
LISTENERS: list[dict[str, Any]] = [
    {"kafka_security_protocol": "PLAINTEXT"},
    {"kafka_security_protocol": "SSL"},
    {"kafka_security_protocol": "SASL_PLAINTEXT", **SASL},
    {"kafka_security_protocol": "SASL_SSL", **SASL},
]


@pytest.mark.parametrize("listener", LISTENERS, ids=lambda each: each["kafka_security_protocol"])
def test_fausts_consumer_logs_in_as_every_other_client_does(listener):
    settings = Settings(bootstrap_servers=SERVER, **listener)
    ours = dict(settings.kafka_client(SERVER))
    fausts = dict(credentials_to_aiokafka_auth(_credentials(settings, SERVER), None))
    contexts = [each.pop("ssl_context", None) for each in (ours, fausts)]
    assert fausts == {name: value for name, value in ours.items() if name != "bootstrap_servers"}
    assert all(
        (context is not None) == ("SSL" in listener["kafka_security_protocol"].split("_"))
        for context in contexts
    )
    assert all(
        context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED for context in contexts if context
    )


def test_every_client_in_the_source_is_made_from_the_settings():
    """Each call unpacks the client arguments (`**client`); the doctor takes them without the bootstrap servers."""
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("worker", "api", "agents", "tables")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in KINDS
        and not any(keyword.arg is None for keyword in node.keywords)
    ]
    assert bare == []
