"""Lag is asked of Kafka, and a partition that stands still is told."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from worker.app import lag
from worker.app.lag import Input, LagWatch


class Clock:
    """Monotonic seconds that only move when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def topic(kafka: str) -> AsyncIterator[str]:
    """A topic with one partition and three records."""
    name = f"lag-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for number in range(3):
        await producer.send_and_wait(name, b"%d" % number, partition=0)
    yield name
    await producer.stop()
    await admin.delete_topics([name])
    await admin.close()


QUICKLY_S = 0.05  # between two questions for ends


async def until(holds: object, within_s: float = 10.0) -> None:
    """Wait until a callable is true."""
    async with asyncio.timeout(within_s):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.02)


async def test_a_partition_with_lag_that_stands_still_is_told_and_one_that_moves_is_not(
    kafka: str, topic: str
):
    clock, positions = Clock(), {(topic, 0): 0}
    watch = LagWatch(
        {"bootstrap_servers": kafka}, (topic, 0), lambda: dict(positions), clock, every_s=QUICKLY_S
    )
    running = asyncio.create_task(watch.run())
    try:
        await until(lambda: watch.lags() == {(topic, 0): 3})
        assert watch.reasons() == []
        clock.now = lag.PATIENCE_S + 1
        await until(lambda: any(f"{topic}-0 lags 3 records" in reason for reason in watch.reasons()))
        positions[topic, 0] = 1
        await until(lambda: watch.reasons() == [])
        clock.now += lag.PATIENCE_S / 2
        positions[topic, 0] = 3
        clock.now += lag.PATIENCE_S
        await until(lambda: watch.lags() == {(topic, 0): 0})
        await until(lambda: watch.reasons() == [])
    finally:
        running.cancel()


async def test_a_topic_that_is_gone_does_not_hide_the_lag_of_the_others(kafka: str, topic: str):
    clock = Clock()
    gone: Input = (f"{topic}-that-never-was", 0)
    positions = {(topic, 0): 1, gone: 5}
    watch = LagWatch(
        {"bootstrap_servers": kafka}, (topic, 0), lambda: positions, clock, every_s=QUICKLY_S, within_s=0.5
    )
    running = asyncio.create_task(watch.run())
    try:
        await until(lambda: watch.lags() == {(topic, 0): 2})
        clock.now = lag.PATIENCE_S + 1
        await until(lambda: any(f"has not told the ends of {gone[0]}" in why for why in watch.reasons()))
    finally:
        running.cancel()


async def test_a_kafka_that_is_not_there_is_told_after_its_patience():
    clock = Clock()
    watch = LagWatch({"bootstrap_servers": "127.0.0.1:1"}, ("any", 0), dict, clock, every_s=QUICKLY_S)
    running = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(0.2)
        assert watch.reasons() == []
        clock.now = lag.PATIENCE_S + 1
        assert watch.reasons() == ["Kafka has not answered for 11 s"]
    finally:
        running.cancel()
