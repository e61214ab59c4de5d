"""Sending lines, with a producer whose acknowledgements the test gives."""

import asyncio
from contextlib import suppress
from typing import cast

from aiokafka import AIOKafkaProducer
from rich.progress import Progress

from tests.cli.test_send import ORDER
from worker.cli.sending import Outcome, Sending
from worker.kafka.topics import Catalogue


class HeldProducer:
    """Takes records and acknowledges none before the test says so."""

    def __init__(self) -> None:
        self.held: list[asyncio.Future[object]] = []

    async def send(self, topic: str, value: bytes, key: bytes) -> asyncio.Future[object]:
        self.held.append(asyncio.get_running_loop().create_future())
        return self.held[-1]


def test_a_line_on_its_way_when_ctrl_c_comes_is_counted_once_kafka_answers():
    async def counted() -> tuple[int, int]:
        catalogue = Catalogue()
        producer, outcome = HeldProducer(), Outcome()
        topics = frozenset({catalogue.orders.name})
        with Progress(disable=True) as progress:
            sending = Sending(
                cast(AIOKafkaProducer, producer), catalogue, outcome, progress, topics, waits=False
            )
            await sending.send([(1, ORDER.encode())])
            finishing = asyncio.create_task(sending.finish())
            await asyncio.sleep(0)
            finishing.cancel()
            with suppress(asyncio.CancelledError):
                await finishing
            producer.held[0].set_result(None)
            await asyncio.sleep(0)
        return outcome.sent.total(), outcome.unsent

    assert asyncio.run(counted()) == (1, 0)
