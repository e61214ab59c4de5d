"""Which node of a cluster has a role, asked of Kafka itself."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka.client import AIOKafkaClient, CoordinationType

from worker.doctor.quorum import DescribeQuorum

_WITHIN_MS = 5_000


def controller(bootstrap: str) -> int:
    """The id of the node that leads the metadata quorum."""

    async def ask(client: AIOKafkaClient) -> int:
        answer = await client.send(client.get_random_node(), DescribeQuorum())
        ((_, ((_, _, leader, *_),), _),) = answer.topics
        return int(leader)

    return asyncio.run(_asked(bootstrap, ask))


def group_coordinator(bootstrap: str, group: str) -> int:
    """The id of the node that coordinates a consumer group."""
    return asyncio.run(_asked(bootstrap, lambda client: _coordinator(client, CoordinationType.GROUP, group)))


def transaction_coordinator(bootstrap: str, transactional_id: str) -> int:
    """The id of the node that coordinates the transactions of a producer."""
    return asyncio.run(
        _asked(bootstrap, lambda client: _coordinator(client, CoordinationType.TRANSACTION, transactional_id))
    )


async def _coordinator(client: AIOKafkaClient, kind: CoordinationType, key: str) -> int:
    return int(await client.coordinator_lookup(kind, key))


async def _asked(bootstrap: str, ask: Callable[[AIOKafkaClient], Awaitable[int]]) -> int:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=_WITHIN_MS)
    await client.bootstrap()
    try:
        return await ask(client)
    finally:
        await client.close()
