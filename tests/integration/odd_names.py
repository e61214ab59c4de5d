"""Sends one record whose header name is any bytes, as Go and C clients may: SCRIPT BOOTSTRAP TOPIC PARTITION KEY NAME VALUE,
the last three in hex. A process of its own, because aiokafka decides at its import which builder it uses."""

import asyncio
import os
import sys
from typing import Any

os.environ["AIOKAFKA_NO_EXTENSIONS"] = "1"  # the builder in plain Python takes any string
from aiokafka import AIOKafkaProducer


class Name(str):
    """Encodes to the bytes whose hex digits it is."""

    def encode(self, *_: Any, **__: Any) -> bytes:
        return bytes.fromhex(str(self))


async def main(bootstrap: str, topic: str, partition: str, key: str, name: str, value: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        batch = producer.create_batch()
        headers = [(Name(name), b"1"), (Name(name), None)]
        batch.append(key=bytes.fromhex(key), value=bytes.fromhex(value), timestamp=None, headers=headers)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=int(partition)))


asyncio.run(main(*sys.argv[1:7]))
