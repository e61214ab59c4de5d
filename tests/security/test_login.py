"""Who may talk to Kafka at all: mechanisms, passwords, certificates and host names, from the console as operators do."""

import json
import os
import subprocess

import pytest

from tests.fork_server import run_console
from tests.security.secured import Secured
from worker.cli.topics import all_topics
from worker.kafka.acls import Acl, Resource, creating, running
from worker.kafka.topics import Catalogue

LOGIN = Catalogue(topic_prefix="login.", app_id="login", partitions=1)


def console(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The console script with these settings, by contract name, and nothing of the environment's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CUSTOMER_CONTEXT_") or name == "CUSTOMER_CONTEXT_CACHE_DIR"
    }
    ours = {
        "APP_ID": "login",
        "TOPIC_PREFIX": "login.",
        "PARTITIONS": "1",
        "REPLICATION_FACTOR": "1",
        **settings,
    }
    given = {f"CUSTOMER_CONTEXT_{name}": value for name, value in ours.items()}
    return run_console(arguments, kept | given, within_s=60.0)


@pytest.fixture(scope="module", autouse=True)
def allowed(secured: Secured) -> None:
    topics = all_topics(LOGIN)
    for user in ("plain-user", "scram-user"):
        secured.allow(user, (*running(LOGIN, topics), *creating(topics)))
    made = console("topics", **secured.client_settings("scram-user", "SCRAM-SHA-512"))
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(
    ("user", "mechanism"),
    [("plain-user", "PLAIN"), ("scram-user", "SCRAM-SHA-256"), ("scram-user", "SCRAM-SHA-512")],
)
def test_each_mechanism_over_tls_is_let_in(secured, user, mechanism):
    done = console("topics", "--check", **secured.client_settings(user, mechanism))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_a_wrong_password_is_refused(secured):
    wrong = secured.client_settings("scram-user", "SCRAM-SHA-512") | {
        "KAFKA_SASL_PASSWORD": "another-password"
    }
    done = console("topics", "--check", **wrong)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "another-password" not in done.stderr


def test_a_certificate_for_another_host_is_refused(secured):
    misnamed = secured.client_settings("scram-user", "SCRAM-SHA-512") | {
        "BOOTSTRAP_SERVERS": secured.misnamed
    }
    done = console("topics", "--check", **misnamed)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_broker_of_an_unknown_authority_is_refused(secured):
    stranger = secured.client_settings("scram-user", "SCRAM-SHA-512") | {
        "KAFKA_SSL_CAFILE": str(secured.stranger_ca)
    }
    assert console("topics", "--check", **stranger).returncode == 1


def test_a_plaintext_client_gets_nothing_from_a_tls_listener(secured):
    assert console("topics", "--check", BOOTSTRAP_SERVERS=secured.secure).returncode == 1


def test_a_client_certificate_is_presented_where_the_broker_asks_for_one(secured):
    anonymous = {
        "BOOTSTRAP_SERVERS": secured.mutual,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CAFILE": str(secured.ca),
    }
    known = console("topics", "--check", "--json", **anonymous, KAFKA_SSL_CERTFILE=str(secured.client))
    unknown = console("topics", "--check", "--json", **anonymous)
    assert '"missing": ["login.customer.commands"' in known.stdout, (
        known.stderr
    )  # let in, and may see no topic
    assert unknown.stdout == ""


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"KAFKA_SASL_PASSWORD": "another-password"}, "refuses the user or the password"),
        ({"BOOTSTRAP_SERVERS": "misnamed"}, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ({"KAFKA_SSL_CAFILE": "stranger_ca"}, "The certificate of"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CAFILE": ""}, "before it answered"),
    ],
    ids=["password", "host name", "authority", "no TLS"],
)
def test_the_doctor_says_why_kafka_refuses(secured, tmp_path, change, cause):
    wrong = {name: str(getattr(secured, value, value)) for name, value in change.items()}
    settings = secured.client_settings("scram-user", "SCRAM-SHA-512") | wrong
    done = console("doctor", "--json", **settings, DATA_DIR=str(tmp_path), WEB_PORT="0")
    faults = [each["what"] for each in json.loads(done.stdout)["findings"] if each["level"] == "fault"]
    assert done.returncode == 1
    assert len(faults) == 1
    assert cause in faults[0]
    assert "another-password" not in done.stdout + done.stderr


def test_the_doctor_finds_nothing_wrong_with_least_privilege(secured, tmp_path):
    settings = secured.client_settings("scram-user", "SCRAM-SHA-512")
    done = console("doctor", "--json", **settings, DATA_DIR=str(tmp_path), WEB_PORT="0")
    assert done.returncode == 0, done.stdout


def test_every_client_of_the_console_logs_in(secured, tmp_path):
    topics = all_topics(LOGIN)
    inputs = [Acl(Resource.TOPIC, topic.name, ("Write",)) for topic in (LOGIN.orders, LOGIN.commands)]
    reading = [Acl(Resource.TOPIC, topic.name, ("Read",)) for topic in topics]
    secured.allow("plain-user", (*inputs, *reading))
    settings = secured.client_settings("plain-user", "PLAIN") | {"DATA_DIR": str(tmp_path)}
    file = tmp_path / "order.jsonl"
    file.write_text('{"eventId":"e","orderId":"o","customerId":"c","totalAmount":{"amount":"1.00"}}')
    calls = (["send", str(file)], ["events"], ["dead-letters", "list"], ["topics", "--check"], ["verify"])
    done = {" ".join(call): console(*call, **settings) for call in calls}
    assert [
        (call, ran.stderr) for call, ran in done.items() if "cannot be reached or refused" in ran.stderr
    ] == []
    assert [ran.returncode for ran in done.values()] == [0, 0, 0, 0, 0]
