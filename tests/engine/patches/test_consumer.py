"""Faust's consumer holds changelogs only for the assignment: nothing of them is fetched, and no leader is asked for them."""

import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.records import create_topics
from worker.engine.patches.consumer import EngineConsumerThread


def thread_of(consumer: AIOKafkaConsumer) -> Any:
    thread: Any = EngineConsumerThread.__new__(EngineConsumerThread)
    thread._ensure_consumer = lambda: consumer
    return thread


async def test_a_paused_changelog_has_a_position_and_the_inputs_are_read_on(kafka: str):
    name = f"paused-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, 1, {f"{name}-changelog": {}, f"{name}-input": {}})
    changelog, of_input = TopicPartition(f"{name}-changelog", 0), TopicPartition(f"{name}-input", 0)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for place in (changelog, of_input):
            await producer.send_and_wait(place.topic, b"record", partition=0)
    async with AIOKafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        consumer.assign([changelog, of_input])
        await thread_of(consumer)._pause_fetching({changelog})
        states = consumer._subscription.subscription.assignment
        assert states.state_value(changelog).has_valid_position
        assert not states.state_value(of_input).has_valid_position
        fetched = await consumer.getmany(timeout_ms=5_000)
        assert list(fetched) == [of_input]
        assert await consumer.getmany(timeout_ms=300) == {}
