"""The embedded Kafka as its owner sees it, on the real thing."""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient

from worker.broker import BrokerError, EmbeddedKafka, running_bootstrap
from worker.broker.folder import DataFolder
from worker.broker.pins import KAFKA_VERSION
from worker.broker.ports import free_port, kafka_answers

# The forked child holds a copy of every pipe, so that the broker cannot count on the pipe's end alone.
OWNER = """
import os, pathlib, sys, time
from worker.broker import EmbeddedKafka
broker = EmbeddedKafka(pathlib.Path(sys.argv[1]))
broker.start()
if os.fork() == 0:
    time.sleep(8)
    os._exit(0)
print(broker.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def used_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a topic `kept` of one record, whose broker was stopped."""
    folder = tmp_path_factory.mktemp("used") / "kafka"
    with EmbeddedKafka(folder) as broker:
        asyncio.run(create_topic(broker.bootstrap, "kept"))
        asyncio.run(produce(broker.bootstrap, "kept", b"first"))
    return folder


@pytest.fixture
def broker(used_folder: Path) -> Iterator[EmbeddedKafka]:
    """A broker on the used folder, not started yet."""
    embedded_kafka = EmbeddedKafka(used_folder)
    yield embedded_kafka
    embedded_kafka.stop()


def test_data_and_port_survive_a_clean_stop_and_a_kill(broker: EmbeddedKafka) -> None:
    before = broker.start()
    asyncio.run(produce(before, "kept", b"second"))
    broker.kill()
    after = broker.start()
    values = asyncio.run(read(after, "kept"))
    assert after == before
    assert values[0] == b"first"
    assert values[-1] == b"second"


def test_a_broker_whose_parent_is_killed_is_gone_within_seconds(used_folder: Path) -> None:
    with owner_of(used_folder) as owner:
        broker_pid = int(owner.stdout.readline()) if owner.stdout else 0
        owner.kill()
        assert becomes_true(lambda: not exists(broker_pid), within_s=5)


def test_a_broker_whose_supervisor_was_killed_is_ended_and_started_again(broker: EmbeddedKafka) -> None:
    broker.start()
    left_behind = broker.pid
    supervisor = psutil.Process(left_behind).parent()
    assert supervisor is not None
    supervisor.kill()
    assert becomes_true(lambda: not broker.running, within_s=2)
    assert exists(left_behind)
    assert kafka_answers(port_of(broker.start()))
    assert not exists(left_behind)


def test_a_worker_restarted_right_after_its_kill_waits_for_its_old_broker(
    used_folder: Path, broker: EmbeddedKafka
) -> None:
    with owner_of(used_folder) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.kill()
        owner.wait()
        assert kafka_answers(port_of(broker.start()))


def test_a_second_broker_in_the_same_folder_is_refused_and_the_first_goes_on(
    used_folder: Path, broker: EmbeddedKafka
) -> None:
    address = broker.start()
    with pytest.raises(BrokerError, match="Another Kafka runs in"):
        EmbeddedKafka(used_folder).start()
    assert kafka_answers(port_of(address))
    assert asyncio.run(read(address, "kept"))


def test_two_brokers_in_different_folders_run_side_by_side(kafka: str, broker: EmbeddedKafka) -> None:
    other = broker.start()
    assert other != kafka
    assert kafka_answers(port_of(kafka))
    assert kafka_answers(port_of(other))


def test_the_address_of_a_running_broker_is_known_to_other_processes_until_it_ends(
    used_folder: Path, broker: EmbeddedKafka
) -> None:
    assert running_bootstrap(used_folder) is None
    for end in (broker.stop, broker.kill):
        address = broker.start()
        look = f"import pathlib, worker.broker as b; print(b.running_bootstrap(pathlib.Path({str(used_folder)!r})))"
        seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
        assert seen.stdout.strip() == address
        end()
        assert running_bootstrap(used_folder) is None


def test_a_folder_that_never_had_a_broker_has_no_address(tmp_path: Path) -> None:
    assert running_bootstrap(tmp_path / "missing") is None
    assert not (tmp_path / "missing").exists()


def test_looking_for_a_broker_does_not_keep_one_from_starting(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(str(os.getpid()))
    with (tmp_path / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        threading.Timer(0.1, held.close).start()
        with DataFolder(tmp_path).locked(patience_s=0) as lock:
            assert lock


def test_a_fixed_port_in_use_is_refused_by_name(used_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"Port {port} of 127.0.0.1 is in use"):
            EmbeddedKafka(used_folder, port).start()


def test_a_remembered_port_in_use_is_replaced_by_a_free_one(used_folder: Path, broker: EmbeddedKafka) -> None:
    port = DataFolder(used_folder).last_port()
    assert port
    with socket.create_server(("127.0.0.1", port)):
        assert port_of(broker.start()) != port


def test_a_port_taken_while_kafka_starts_costs_another_try(used_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]])
        with EmbeddedKafka(used_folder, free_port=lambda: next(ports, None) or free_port()) as broker:
            assert kafka_answers(port_of(broker.bootstrap))


@pytest.mark.parametrize("marker", ["3.9.0", None])
def test_a_folder_of_another_kafka_version_is_refused_and_left_alone(
    tmp_path: Path, marker: str | None
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "meta.properties").write_text("version=1\n")
    if marker:
        (tmp_path / "version").write_text(f"{marker}\n")
    with pytest.raises(BrokerError, match=rf"{marker or 'unknown'}, and this is {KAFKA_VERSION}"):
        EmbeddedKafka(tmp_path).start()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["meta.properties"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BrokerError, match=r"data folder .*file/kafka cannot be used"):
        EmbeddedKafka(tmp_path / "file" / "kafka").start()


def test_a_broker_that_dies_at_start_shows_the_end_of_its_log(used_folder: Path) -> None:
    with pytest.raises(BrokerError, match=r"ended while it started(.|\n)*broker.session.timeout.ms"):
        EmbeddedKafka(used_folder, properties={"broker.session.timeout.ms": "soon"}).start()


def test_an_interrupted_preparation_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "logs.new").mkdir()
    (tmp_path / "logs.new" / "meta.properties").write_text("half")
    with EmbeddedKafka(tmp_path) as broker:
        assert kafka_answers(port_of(broker.bootstrap))


def test_no_start_after_the_first_needs_the_network(
    broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    assert kafka_answers(port_of(broker.start()))


def test_a_frozen_broker_is_killed_when_it_does_not_stop_in_time(used_folder: Path) -> None:
    broker = EmbeddedKafka(used_folder, stop_grace_s=0.3)
    broker.start()
    pid = broker.pid
    os.kill(pid, signal.SIGSTOP)
    broker.stop()
    assert not exists(pid)
    assert not broker.running


def test_clients_are_sent_to_the_advertised_port(used_folder: Path) -> None:
    proxy_port = free_port()
    with EmbeddedKafka(used_folder, advertised_port=proxy_port) as broker:
        assert asyncio.run(advertised_ports(broker.bootstrap)) == {proxy_port}


def test_a_broker_not_started_has_neither_address_nor_process(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path)
    broker.stop()
    assert not broker.running
    with pytest.raises(BrokerError):
        _ = broker.bootstrap
    with pytest.raises(BrokerError):
        _ = broker.pid


async def create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def produce(bootstrap: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def read(bootstrap: str, topic: str) -> list[bytes]:
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values = []
        while await consumer.position(partition) < end:
            values.append((await consumer.getone()).value)
        return values


async def advertised_ports(bootstrap: str) -> set[int]:
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    ports = {node.port for node in client.cluster.brokers()}
    await client.close()
    return ports


def owner_of(folder: Path) -> subprocess.Popen[str]:
    """A process that starts a broker in this folder and prints the broker's process id."""
    return subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)


def port_of(bootstrap: str) -> int:
    return int(bootstrap.rpartition(":")[2])


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def becomes_true(condition: Callable[[], bool], within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.05)
    return True
