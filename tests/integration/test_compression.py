"""With the setting COMPRESSION everything that a worker sends is compressed, and means what it means without."""

from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.fetch import FetchRequest

from tests.integration.installation import PARTITIONS, Installation
from tests.integration.mixed_traffic import differences, left_to_do, mixed_traffic

SEED = 20_261
SENT = ("customer.events", "customer.command-results", "customers-changelog", "ledger-changelog")
CODECS = {0: "none", 2: "snappy", 4: "zstd"}
_ATTRIBUTES = 22  # place of the byte with the codec in a record batch
_MOST_BYTES = 1 << 20
_IS_CONTROL = 0x20


async def codecs(bootstrap: str, topic: str) -> set[str]:
    """How the first record batch of each of a topic's partitions is compressed."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        asked = [(number, 0, _MOST_BYTES) for number in range(PARTITIONS)]
        request = FetchRequest(100, 0, _MOST_BYTES, 0, [(topic, asked)])
        answer = await client.send(client.get_random_node(), request)
    finally:
        await client.close()
    [(_, partitions)] = answer.topics
    attributes = [data[_ATTRIBUTES] for *_, data in partitions if data]
    return {CODECS[each & 7] for each in attributes if not each & _IS_CONTROL}


@pytest.mark.parametrize("codec", CODECS.values())
async def test_what_a_worker_sends_is_compressed_as_it_is_set(kafka: str, tmp_path: Path, codec: str):
    print(f"seed {SEED}")  # noqa: T201 (shown when the test fails)
    installation = Installation(kafka, tmp_path, COMPRESSION=codec)
    messages = mixed_traffic(SEED, 400)
    try:
        installation.start_workers("one")
        installation.send(messages)
        installation.wait_until(lambda: left_to_do(installation, messages) == [])
        assert differences(installation, messages) == []
        [worker] = installation.workers
        installation.workers.remove(worker)
        worker.end()
        installation.start_workers("another")  # it restores the tables from what the first one has sent
        assert installation.console("verify").returncode == 0
    finally:
        installation.end()
    for topic in SENT:
        assert await codecs(kafka, installation.topic(topic)) == {codec}
