"""Three real nodes: replicated, each of them dispensable, and kept across restarts."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it re-exports

from tests.records import read
from tests.supervised import look_after_until
from worker.broker import BrokerError, EmbeddedCluster, running_bootstrap
from worker.kafka.admin import check_topics, ensure_topics
from worker.kafka.topics import Catalogue

MOST_BYTES = 1 << 30
UP_WITHIN_S = 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster") / "kafka"


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(folder) as running:
        yield running


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    async def send() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", request_timeout_ms=30_000
        ) as producer:
            await producer.send_and_wait(topic, value)

    asyncio.run(send())


@pytest.mark.timeout(180)
def test_a_topic_is_on_all_nodes_and_outlives_the_kill_of_one(cluster: EmbeddedCluster, folder: Path):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    for created in admin.create_topics([NewTopic("kept", 1)]).values():
        created.result(20)
    produce(cluster.bootstrap, "kept", b"before")
    partition = admin.list_topics("kept", 20).topics["kept"].partitions[0]
    assert sorted(partition.replicas) == [1, 2, 3]
    leader = cluster.nodes[partition.leader - 1]
    leader.kill()
    assert not cluster.running
    others = ",".join(node.bootstrap for node in cluster.nodes if node is not leader)
    assert running_bootstrap(folder) == others
    produce(others, "kept", b"without it")
    made = Catalogue(topic_prefix="down.", partitions=2).orders
    asyncio.run(ensure_topics({"bootstrap_servers": others}, [made], None))
    leader.start()
    assert running_bootstrap(folder) == cluster.bootstrap
    produce(cluster.bootstrap, "kept", b"after")
    assert [record.value for record in read(cluster.bootstrap, "kept")] == [
        b"before",
        b"without it",
        b"after",
    ]
    partitions = admin.list_topics(made.name, 20).topics[made.name].partitions.values()
    assert [sorted(partition.replicas) for partition in partitions] == [[1, 2, 3], [1, 2, 3]]
    client = {"bootstrap_servers": cluster.bootstrap}
    assert asyncio.run(check_topics(client, [made])).warnings == ()


def test_topics_that_may_lose_records_with_one_broker_are_named(cluster: EmbeddedCluster):
    thin, slack = (Catalogue(topic_prefix=prefix, partitions=1).orders for prefix in ("thin.", "slack."))
    config = {**thin.config, "cleanup.policy": "delete"}
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    made = [
        NewTopic(thin.name, 1, 1, config={**config, "unclean.leader.election.enable": "true"}),
        NewTopic(slack.name, 1, 3, config={**config, "min.insync.replicas": "1"}),
    ]
    for created in admin.create_topics(made).values():
        created.result(20)
    client = {"bootstrap_servers": cluster.bootstrap}
    assert set(asyncio.run(check_topics(client, [thin, slack])).warnings) == {
        "thin.order.completed: replication factor is 1, less than 3",
        "thin.order.completed: unclean.leader.election.enable is true, not false",
        "slack.order.completed: min.insync.replicas is 1, less than 2",
    }


def test_a_frozen_node_goes_on_when_it_is_let(cluster: EmbeddedCluster):
    node = cluster.nodes[0]
    status = psutil.Process(node.pid).status
    node.signal(signal.SIGSTOP)
    assert look_after_until([], lambda: status() == psutil.STATUS_STOPPED, 5.0)
    node.signal(signal.SIGCONT)
    assert look_after_until([], lambda: status() != psutil.STATUS_STOPPED, 5.0)


def test_three_nodes_need_at_most_a_gigabyte(cluster: EmbeddedCluster):
    assert sum(psutil.Process(node.pid).memory_info().rss for node in cluster.nodes) < MOST_BYTES


def test_a_folder_of_a_running_cluster_is_refused(cluster: EmbeddedCluster, folder: Path):
    with pytest.raises(BrokerError, match="Another Kafka runs in"):
        EmbeddedCluster(folder).start()


@pytest.mark.long
@pytest.mark.timeout(120)
def test_data_is_kept_and_another_count_is_refused(tmp_path: Path):
    with EmbeddedCluster(tmp_path, 2) as first:
        admin = AdminClient({"bootstrap.servers": first.bootstrap})
        for created in admin.create_topics([NewTopic("kept", 1)]).values():
            created.result(20)
        produce(first.bootstrap, "kept", b"record")
        address = first.bootstrap
    with pytest.raises(BrokerError, match="holds data of 2 nodes, not of 3"):
        EmbeddedCluster(tmp_path, 3).start()
    began = time.monotonic()
    with EmbeddedCluster(tmp_path, 2) as again:
        assert time.monotonic() - began < UP_WITHIN_S
        assert again.bootstrap == address
        assert [record.value for record in read(again.bootstrap, "kept")] == [b"record"]


@pytest.mark.long
@pytest.mark.timeout(120)
def test_the_console_tells_each_node_and_starts_one_again(tmp_path: Path):
    command = [sys.executable, "-m", "worker.cli", "broker", "--nodes", "3", "--restart-after", "0"]
    environment = {"CUSTOMER_CONTEXT_DATA_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as console:
        try:
            assert console.stdout is not None
            bootstrap = console.stdout.readline().strip().split(",")
            nodes = [console.stdout.readline().split() for _ in bootstrap]
            assert [(number, address) for number, _, address in nodes] == [
                ("1", bootstrap[0]),
                ("2", bootstrap[1]),
                ("3", bootstrap[2]),
            ]
            psutil.Process(int(nodes[1][1])).kill()
            number, pid, address = console.stdout.readline().split()
            assert (number, address) == ("2", bootstrap[1])
            assert pid != nodes[1][1]
        finally:
            console.send_signal(signal.SIGTERM)
    assert console.returncode == 0
