"""Settings: what a wrong one says, and that no secret is ever said."""

import os
import ssl
from pathlib import Path

import pytest

from worker.processes.cores import cores
from worker.settings import ConfigurationError, Settings, load_settings

SECRET = "s3cret-" * 6


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:

    for name in list(os.environ):
        if name.upper().startswith("CUSTOMER_CONTEXT_"):
            monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"CUSTOMER_CONTEXT_{name}", value)
    return load_settings()


def test_without_any_variable_the_contracts_defaults_hold():
    settings = load_settings()
    assert settings.embedded
    assert (settings.app_id, settings.topic_prefix, settings.partitions) == ("customer-context", "", 8)
    assert (settings.retention_days, settings.data_dir, settings.store) == (30, Path(".data"), "rocksdb")
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 6066)
    assert settings.public_url(6066) == "http://127.0.0.1:6066"
    assert (settings.replication_factor, settings.redis_url, settings.rules_file) == (None, None, None)
    assert (settings.payment_join, settings.metrics_port, settings.authenticated) == (False, None, False)
    assert (settings.standby_replicas, settings.desk) == (1, True)
    assert (settings.log_format, settings.log_level) == (None, "info")
    assert settings.kafka_client("h:1") == {"bootstrap_servers": "h:1", "security_protocol": "PLAINTEXT"}


def test_an_empty_variable_counts_as_unset(monkeypatch):
    settings = load(monkeypatch, BOOTSTRAP_SERVERS="", REDIS_URL="", METRICS_PORT="", AUTH_JWT_SECRET="")
    assert (settings.embedded, settings.redis_url, settings.metrics_port) == (True, None, None)
    assert not settings.authenticated


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PARTITIONS", "many", "CUSTOMER_CONTEXT_PARTITIONS: input should be a valid integer"),
        ("PARTITIONS", "0", "CUSTOMER_CONTEXT_PARTITIONS: input should be greater than or equal to 1"),
        ("STANDBY_REPLICAS", "-1", "CUSTOMER_CONTEXT_STANDBY_REPLICAS: input should be greater than"),
        ("WEB_PORT", "65536", "CUSTOMER_CONTEXT_WEB_PORT: input should be less than or equal to 65535"),
        ("STORE", "sqlite", "CUSTOMER_CONTEXT_STORE: input should be 'rocksdb' or 'memory'"),
        ("PAYMENT_JOIN", "true", "CUSTOMER_CONTEXT_PAYMENT_JOIN: use on or off"),
        (
            "TYPE_ALIASES",
            "a=b=OrderCompletedEvent",
            "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 1 is not ALIAS=Type",
        ),
        ("TYPE_ALIASES", "a=OrderCompletedEvent,", "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 2 is not ALIAS=Type"),
        (
            "TYPE_ALIASES",
            "a=Order",
            "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 1 names a type that the worker does not",
        ),
        ("TYPE_ALIASES", "a=CustomerCreatedEvent", "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 1 names a type that"),
        (
            "TYPE_ALIASES",
            "a=UpdateProfile,OrderReturnedEvent=OrderCompletedEvent",
            "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 2 has an alias that is a type of the contract itself",
        ),
        (
            "TYPE_ALIASES",
            "a=UpdateProfile, a=UpdateProfile",
            "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 2 has an alias that an earlier pair has",
        ),
        (
            "TYPE_ALIASES",
            f"{'a' * 201}=UpdateProfile",
            "CUSTOMER_CONTEXT_TYPE_ALIASES: pair 1 has an alias with more than 200 characters",
        ),
        (
            "TYPE_ALIASES",
            ",".join(f"a{n}=UpdateProfile" for n in range(101)),
            "CUSTOMER_CONTEXT_TYPE_ALIASES: give at most 100 aliases",
        ),
        ("DESK", "no", "CUSTOMER_CONTEXT_DESK: use on or off"),
        ("TOPIC_PREFIX", "a b", "CUSTOMER_CONTEXT_TOPIC_PREFIX: use letters, digits, dots"),
        ("BOOTSTRAP_SERVERS", "kafka", "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS: give host:port"),
        ("ADVERTISED_URL", "worker-1", "CUSTOMER_CONTEXT_ADVERTISED_URL: give a URL such as"),
        ("KAFKA_MIRROR", "nexus.example.com", "CUSTOMER_CONTEXT_KAFKA_MIRROR: give a URL such as"),
        (
            "KAFKA_MIRROR",
            "https://ada:se/cret@nexus.example.com",
            "CUSTOMER_CONTEXT_KAFKA_MIRROR: give a URL",
        ),
        (
            "KAFKA_MIRROR",
            "https://nexus.example.com:port",
            "CUSTOMER_CONTEXT_KAFKA_MIRROR: give a URL such as",
        ),
        ("REDIS_URL", "localhost:6379", "CUSTOMER_CONTEXT_REDIS_URL: give a URL such as"),
        ("RULES_FILE", "/nowhere/rules.toml", "CUSTOMER_CONTEXT_RULES_FILE: there is no such file"),
        ("LOG_FORMAT", "xml", "CUSTOMER_CONTEXT_LOG_FORMAT: input should be 'console' or 'json'"),
        ("AUTH_JWT_SECRET", "x" * 31, "CUSTOMER_CONTEXT_AUTH_JWT_SECRET: use at least 32 bytes"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(monkeypatch, name, value, sentence):
    with pytest.raises(ConfigurationError) as refused:
        load(monkeypatch, **{name: value})
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


def test_aliases_of_types_reach_whatever_reads_inputs(monkeypatch):
    settings = load(
        monkeypatch, TYPE_ALIASES=" com.shop.Order = OrderCompletedEvent,com.shop.Bye=EraseCustomer"
    )
    assert settings.catalogue().type_aliases == {
        "com.shop.Order": "OrderCompletedEvent",
        "com.shop.Bye": "EraseCustomer",
    }
    assert load(monkeypatch, TYPE_ALIASES="").catalogue().type_aliases == {}


def test_every_wrong_field_is_told_at_once(monkeypatch):
    with pytest.raises(ConfigurationError) as refused:
        load(monkeypatch, PARTITIONS="x", WEB_PORT="y")
    assert len(str(refused.value).splitlines()) == 2


def test_a_secret_of_exactly_32_bytes_is_enough(monkeypatch):
    assert load(monkeypatch, AUTH_JWT_SECRET="é" * 16).authenticated


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_open_http_may_bind_a_loopback_address(monkeypatch, host):
    assert load(monkeypatch, WEB_HOST=host).web_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "worker-1"])  # noqa: S104 - refused below
def test_open_http_refuses_any_other_address(monkeypatch, host):
    with pytest.raises(ConfigurationError, match="WEB_HOST must be a loopback address"):
        load(monkeypatch, WEB_HOST=host, ADVERTISED_URL="http://worker-1:6066")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - what the test is about
def test_a_wildcard_host_needs_an_advertised_url(monkeypatch, host):
    with pytest.raises(ConfigurationError, match="ADVERTISED_URL"):
        load(monkeypatch, WEB_HOST=host, AUTH_JWT_SECRET=SECRET)
    settings = load(monkeypatch, ADVERTISED_URL="https://customers.example/")
    assert settings.public_url(1) == "https://customers.example"


def test_the_public_url_of_an_ipv6_host_has_brackets(monkeypatch):
    assert load(monkeypatch, WEB_HOST="::1").public_url(80) == "http://[::1]:80"


def test_each_process_has_a_port_and_a_url_of_its_own(monkeypatch):
    settings = load(monkeypatch, PROCESSES="2")
    assert settings.ports == (6066, 6067, 6068)
    assert settings.own_url(1, settings.own_port(1)) == "http://127.0.0.1:6068"
    assert settings.own_url(None, settings.own_port(None)) == settings.public_url(6066)
    proxied = load(monkeypatch, ADVERTISED_URL="https://customers.example/crm")
    assert [proxied.own_url(number, 1) for number in (0, 1)] == [
        "https://customers.example:444/crm",
        "https://customers.example:445/crm",
    ]
    assert all(proxied.peers().base_of(proxied.own_url(number, 1)) for number in (0, 1))
    assert load(monkeypatch, WEB_PORT="0").ports == (0,)


def test_auto_is_one_process_for_each_core_and_at_most_one_for_each_partition(monkeypatch):
    assert load(monkeypatch, PROCESSES="auto", PARTITIONS="64").processes == min(cores(), 64)
    assert load(monkeypatch, PARTITIONS="1").processes == 1
    assert load_settings(processes="2").processes == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PROCESSES": "0"}, "PROCESSES: input should be greater than or equal to 1"),
        ({"PROCESSES": "many"}, "PROCESSES: input should be a valid integer"),
        ({"PROCESSES": "2", "WEB_PORT": "65534"}, "WEB_PORT must leave"),
    ],
)
def test_processes_that_cannot_be_are_refused(monkeypatch, variables, said):
    with pytest.raises(ConfigurationError, match=said):
        load(monkeypatch, **variables)


def test_secrets_appear_neither_in_messages_nor_in_the_settings_text(monkeypatch):
    for name in ("AUTH_JWT_SECRET", "KAFKA_SASL_PASSWORD"):
        monkeypatch.setenv(f"CUSTOMER_CONTEXT_{name}", SECRET)
    monkeypatch.setenv("CUSTOMER_CONTEXT_REDIS_URL", f"redis://:{SECRET}@h/0")
    monkeypatch.setenv("CUSTOMER_CONTEXT_KAFKA_MIRROR", f"https://ada:{SECRET}@h/maven")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert SECRET not in str(refused.value)
    settings = load(
        monkeypatch, BOOTSTRAP_SERVERS="h:1", KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SASL_USERNAME="u"
    )
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


def test_sasl_over_tls_reaches_the_client_with_the_host_name_checked(monkeypatch):
    settings = load(
        monkeypatch,
        BOOTSTRAP_SERVERS="kafka-1:9093, kafka-2:9093",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="SCRAM-SHA-512",
        KAFKA_SASL_USERNAME="worker",
        KAFKA_SASL_PASSWORD=SECRET,
    )
    client = settings.kafka_client(settings.bootstrap_servers)
    context = client.pop("ssl_context")
    assert client == {
        "bootstrap_servers": "kafka-1:9093,kafka-2:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "worker",
        "sasl_plain_password": SECRET,
    }
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_a_file_that_is_no_certificate_is_told_without_its_content(monkeypatch, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN NOTHING-----")
    settings = load(
        monkeypatch, BOOTSTRAP_SERVERS="h:1", KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CAFILE=str(file)
    )
    with pytest.raises(ConfigurationError, match="KAFKA_SSL_CAFILE") as refused:
        settings.kafka_client("h:1")
    assert "NOTHING" not in str(refused.value)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SASL_USERNAME and _PASSWORD"),
        ({"KAFKA_SASL_USERNAME": "u"}, "need CUSTOMER_CONTEXT_KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "BOOTSTRAP_SERVERS": ""}, "the embedded Kafka is plaintext"),
        ({"AUTH_AUDIENCE": "a"}, "need CUSTOMER_CONTEXT_AUTH_JWT_SECRET"),
        ({"KAFKA_REQUEST_TIMEOUT_S": "45"}, "must be less than CUSTOMER_CONTEXT_BATCH_DEADLINE_S"),
        ({"BATCH_DEADLINE_S": "60"}, "that less than CUSTOMER_CONTEXT_TRANSACTION_TIMEOUT_S"),
        ({"TRANSACTION_TIMEOUT_S": "30"}, "that less than CUSTOMER_CONTEXT_TRANSACTION_TIMEOUT_S"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(monkeypatch, variables, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        load(monkeypatch, **{"BOOTSTRAP_SERVERS": "h:1", **variables})


def test_the_environment_wins_over_the_env_file(monkeypatch, tmp_path):
    file = tmp_path / "worker.env"
    file.write_text("CUSTOMER_CONTEXT_PARTITIONS=3\nCUSTOMER_CONTEXT_APP_ID=from-file\nOTHER=1\n")
    monkeypatch.setenv("CUSTOMER_CONTEXT_PARTITIONS", "5")
    settings = load_settings(file)
    assert (settings.partitions, settings.app_id) == (5, "from-file")


def test_an_env_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_settings(tmp_path / "missing.env")
