"""A background task of aiokafka, of Faust or of ours that dies ends the process; without the patch nobody notices."""

import subprocess
import sys

import pytest

from tests.records import create_topics
from worker.engine.exits import ExitCode

_PROGRAM = """
import asyncio, sys
import aiokafka.consumer.fetcher, aiokafka.consumer.group_coordinator, aiokafka.client, aiokafka.producer.sender
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.sender import Sender
from worker.engine.patches import tasks

{install}

def fail(*arguments, **named):
    raise AssertionError("planted")

async def main(bootstrap):
    consumer = AIOKafkaConsumer("tasks", bootstrap_servers=bootstrap, group_id="tasks", metadata_max_age_ms=500)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await consumer.start()
    await producer.start()
    await asyncio.sleep(1.0)
    {victim} = fail
    consumer._fetcher._wait_consume_future.set_result(None)
    await producer.send("tasks", b"wakes the sender")
    consumer._coordinator.request_rejoin()
    await asyncio.sleep(3.0)
    print("still here", flush=True)

asyncio.run(main(sys.argv[1]))
"""
_VICTIMS = {
    "Fetcher._fetch_requests_routine": "Fetcher._get_actions_per_node",
    "GroupCoordinator._coordination_routine": "GroupCoordinator.ensure_active_group",
    "AIOKafkaClient._md_synchronizer": "AIOKafkaClient._metadata_update",
    "Sender._sender_routine": "Sender._maybe_wait_for_pid",
}


@pytest.fixture(scope="module", autouse=True)
def topic(kafka: str) -> None:
    create_topics(kafka, 1, {"tasks": {}})


def run(kafka: str, victim: str, install: str = "tasks.install()") -> tuple[int, str]:
    program = _PROGRAM.format(victim=victim, install=install)
    done = subprocess.run(
        [sys.executable, "-c", program, kafka], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("task", _VICTIMS)
def test_a_task_that_dies_ends_the_process_and_is_named(kafka: str, task: str):
    code, said = run(kafka, _VICTIMS[task])
    assert (code, "still here" in said) == (ExitCode.TASK_FAILED, False), said
    assert f"the task {task} has ended" in said


def test_control_without_the_patch_a_dead_fetch_task_goes_unnoticed(kafka: str):
    _, said = run(kafka, "Fetcher._get_actions_per_node", install="")
    assert "still here" in said


_SERVICE = """
import asyncio
from mode import Service, Worker
from worker.engine.patches import tasks

{install}

class Ours(Service):
    @Service.task
    async def _work(self):
        raise AssertionError("planted")

worker = Worker(Ours(), loglevel="WARNING")
worker.execute_from_commandline()
"""


@pytest.mark.parametrize(("install", "code"), [("tasks.install()", ExitCode.TASK_FAILED), ("", 1)])
def test_a_task_of_a_service_that_dies_ends_the_process_and_is_named(install: str, code: int):
    """Without the patch, mode ends it with 1."""
    program = [sys.executable, "-c", _SERVICE.format(install=install)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert ("the task Ours._work has ended" in done.stdout + done.stderr) == bool(install)
