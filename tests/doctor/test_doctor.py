"""Planted faults, each named with what to do about it; and an installation where all is well."""

import json
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import build_opener

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from tests.api.redis_server import RedisServer
from tests.broker.network import Answer, proxy, repository
from tests.doctor.conftest import console
from worker.broker.jars import cache_dir
from worker.doctor import Level
from worker.doctor.kafka import broker as examine_broker
from worker.doctor.machine import ports
from worker.settings import Settings

SOUND = {"TOPIC_PREFIX": "sound.", "APP_ID": "sound", "PARTITIONS": "2"}
BROKEN = {"TOPIC_PREFIX": "broken.", "APP_ID": "broken", "PARTITIONS": "2", "REPLICATION_FACTOR": "3"}


@pytest.fixture(scope="module")
def sound(kafka: str) -> dict[str, str]:
    """Settings of an installation whose topics are as they should be."""
    settings = {"BOOTSTRAP_SERVERS": kafka, **SOUND}
    made = console(settings, "topics")
    assert made.returncode == 0, made.stderr
    return settings


@pytest.fixture(scope="module")
def broken(kafka: str) -> dict[str, str]:
    """Settings of an installation with faults in its topics."""
    settings = {"BOOTSTRAP_SERVERS": kafka, **BROKEN}
    admin = AdminClient({"bootstrap.servers": kafka})
    odd = [NewTopic("broken.order.completed", 5, 1)]
    for created in admin.create_topics(odd).values():
        created.result(20)
    others = console(
        {**settings, "PARTITIONS": "2", "REPLICATION_FACTOR": "1", "TOPIC_PREFIX": "broken."}, "topics"
    )
    assert "broken.order.completed has 5 and needs 2" in others.stderr
    time.sleep(0.5)
    alter(admin, "broken-customers-changelog", "cleanup.policy", "delete")
    alter(admin, "broken.customer.events", "retention.ms", "3600000")
    for deleted in admin.delete_topics(["broken.customer.inbox"]).values():
        deleted.result(20)
    return settings


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


def alter(admin: AdminClient, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([change])[change].result(20)


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_sound_installation_has_no_fault_and_no_warning(doctor, sound, redis):
    report = doctor(**sound, REDIS_URL=redis.url)
    assert (report.code, report.told("fault"), report.told("warning")) == (0, [], [])
    areas = {finding["area"] for finding in report.findings}
    of_the_application = {"application", "inputs", "lag", "dead letters"}
    assert areas == of_the_application | {
        "configuration",
        "rules",
        "disk",
        "python",
        "web",
        "native",
        "broker",
        "clock",
        "topics",
        "redis",
    }


def test_the_currencies_that_have_rates_are_named(doctor, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text("""
[[rules]]
version = "1"
effective_from = 1970-01-01
currency = "USD"
amount_per_point = "10.00"
levels = { SILVER = "500.00", GOLD = "2000.00", PLATINUM = "5000.00" }
vip = { annual_spending = "10000.00", days = 365 }
rates = { JPY = "0.0067", EUR = "1.10" }
""")
    told = doctor(RULES_FILE=str(rules)).told("ok")
    assert any("USD, in 1 version, with rates for EUR, JPY." in finding for finding in told)


def test_ten_planted_faults_are_all_named_with_what_to_do(doctor, broken, tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nversion = "1"\n')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "store").write_text("not a folder")
    with taken_port() as web, taken_port() as metrics:
        report = doctor(
            **broken | {"BOOTSTRAP_SERVERS": f"{broken['BOOTSTRAP_SERVERS']},127.0.0.1:{free_port()}"},
            RULES_FILE=str(rules),
            WEB_PORT=str(web),
            METRICS_PORT=str(metrics),
            REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
        )
    faults = "\n".join(report.told("fault"))
    planted = [
        "rules: ",
        "store is not a folder",
        f"Port {web} of 127.0.0.1 is in use by another program",
        f"Port {metrics} of 127.0.0.1 is in use by another program",
        "Nothing listens at 127.0.0.1:",
        "broken.order.completed has 5 and needs 2",
        "broken.customer.inbox is missing",
        "broken-customers-changelog: cleanup.policy is delete, not compact",
        "REPLICATION_FACTOR is 3, but there are 1 brokers",
        "Redis does not answer",
    ]
    assert [fault for fault in planted if fault not in faults] == [], faults
    assert len(report.told("fault")) == len(planted), faults
    assert all(finding["advice"] for finding in report.findings if finding["level"] != "ok")
    assert [
        line for line in report.told("warning") if "broken.customer.events: retention.ms is 3600000" in line
    ]
    assert report.code == 1


def test_every_wrong_setting_is_named_and_no_value_is_shown(doctor):
    report = doctor(PARTITIONS="many", STORE="paper", AUTH_JWT_SECRET="too-short")
    faults = "\n".join(report.told("fault"))
    assert report.code == 1
    assert all(name in faults for name in ("PARTITIONS", "STORE", "AUTH_JWT_SECRET"))
    assert "too-short" not in faults


def test_a_data_folder_that_cannot_be_made_is_named(doctor, sound, tmp_path):
    (tmp_path / "file").write_text("")
    report = doctor(**sound, DATA_DIR=str(tmp_path / "file" / "data"))
    assert [
        line for line in report.told("fault") if line.startswith("disk: ") and "it is not a folder" in line
    ]


def test_an_unknown_host_name_is_named(doctor):
    report = doctor(BOOTSTRAP_SERVERS="kafka.invalid:9092")
    assert [
        line for line in report.told("fault") if "cannot resolve the host name of kafka.invalid:9092" in line
    ]


def test_a_server_that_is_no_kafka_is_named(doctor, redis):
    report = doctor(BOOTSTRAP_SERVERS=f"127.0.0.1:{redis.port}")
    (fault,) = report.told("fault")
    assert fault.startswith("broker: 127.0.0.1:")


def test_a_silent_server_is_named_in_bounded_time(doctor):
    with taken_port() as port:
        report = doctor(BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
    assert [line for line in report.told("fault") if f"127.0.0.1:{port} does not answer within 5 s" in line]


def test_damaged_and_missing_jars_of_the_embedded_kafka_are_named(doctor, monkeypatch, tmp_path):
    source = next(cache_dir().glob("kafka-*"))
    copy = tmp_path / "cache" / source.name
    shutil.copytree(source, copy)
    first, second, *_ = sorted(copy.glob("*.jar"))
    first.write_bytes(b"\0" * first.stat().st_size)
    second.unlink()
    monkeypatch.setenv("CUSTOMER_CONTEXT_CACHE_DIR", str(tmp_path / "cache"))
    damaged = doctor()
    first.unlink()
    missing = doctor()
    assert [line for line in damaged.told("fault") if line.startswith("java: ") and first.name in line]
    assert (missing.code, missing.told("fault")) == (0, [])
    assert [line for line in missing.told("warning") if "2 of Kafka's" in line]


def test_data_of_another_kafka_version_is_named(doctor, tmp_path):
    folder = tmp_path / "data" / "kafka"
    (folder / "logs").mkdir(parents=True)
    (folder / "version").write_text("2.8.0\n")
    report = doctor()
    assert [line for line in report.told("fault") if "holds data of Apache Kafka 2.8.0" in line]


def test_without_a_running_embedded_kafka_nothing_is_wrong(doctor):
    report = doctor()
    assert (report.code, report.told("fault")) == (0, [])
    assert [line for line in report.told("ok") if "No embedded Kafka runs now" in line]


@pytest.mark.parametrize(("hours", "which"), [(2, "ahead of"), (-2, "behind")])
async def test_a_clock_that_is_off_is_named(kafka: str, hours: int, which: str):
    settings = Settings(bootstrap_servers=kafka)
    findings = await examine_broker(settings, kafka, lambda: time.time() + hours * 3_600)
    (fault,) = (finding for finding in findings if finding.level is Level.FAULT)
    assert f"7,200 s {which} Kafka's" in fault.what


def test_the_own_port_of_a_process_that_is_taken_is_a_fault():
    with taken_port() as port:
        found = list(ports(Settings(web_port=port - 1, processes=2)))
    (told,) = (finding for finding in found if f"Port {port} " in finding.what)
    assert (told.level, "is in use by another program" in told.what) == (Level.FAULT, True)


def test_the_port_of_the_metrics_may_not_be_that_of_a_process():
    (found,) = ports(Settings(web_port=7000, metrics_port=7002, processes=2))
    assert found.level is Level.FAULT
    assert "WEB_PORT takes 7000 to 7002" in found.what


def test_the_report_for_people_says_the_same(sound, tmp_path):
    told = console({**sound, "DATA_DIR": str(tmp_path), "WEB_PORT": "0", "COLUMNS": "200"}, "doctor")
    assert told.returncode == 0, told.stdout
    assert "All is well." in told.stdout
    assert "✓ configuration: All settings are valid." in told.stdout


def test_advice_that_is_the_same_for_many_topics_is_given_once(sound, tmp_path):
    other = {**sound, "PARTITIONS": "3", "DATA_DIR": str(tmp_path), "WEB_PORT": "0", "COLUMNS": "200"}
    told = console(other, "doctor")
    assert told.returncode == 1
    assert told.stdout.count(" has 2 and needs 3") > 5
    assert told.stdout.count("Set CUSTOMER_CONTEXT_PARTITIONS to the count of the existing topics") == 1


def test_a_worker_on_this_machine_is_asked_without_the_proxy(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    alive = json.dumps({"status": "alive", "application": "customer-context"}).encode()
    with proxy(refused=403) as company, repository(lambda path, headers: Answer(alive)) as url:
        monkeypatch.setenv("http_proxy", f"http://{company.address}")
        port = int(url.rpartition(":")[2])
        (found,) = ports(Settings(web_port=port))
        assert company.asked == []
        with pytest.raises(HTTPError):
            build_opener().open(url)  # the control: whoever takes the environment's proxy does not get there
    assert (found.level, found.what) == (Level.OK, f"A worker answers on port {port} of 127.0.0.1.")


def test_a_worker_whose_port_is_taken_ends_with_one_sentence(sound, tmp_path):
    with taken_port() as port:
        ended = console({**sound, "DATA_DIR": str(tmp_path), "WEB_PORT": str(port)}, "worker")
    assert ended.returncode == 1
    assert f"Port {port} of 127.0.0.1 is in use by another program." in ended.stderr
    assert "Traceback" not in ended.stderr
