"""Two workers, all kinds of inputs, and the workers killed again and again.

A short dose by default; TRAFFIC_DOSE=full is the one of the acceptance: 20,000 inputs and six kills. The seed is
printed; TRAFFIC_SEED replays the inputs.
"""

import json
import os
import random
import signal
import threading

import pytest

from tests.integration.installation import Installation, Message, order
from tests.integration.mixed_traffic import differences, left_to_do, mixed_traffic
from tests.supervised import Supervised, look_after, look_after_until

FULL = os.environ.get("TRAFFIC_DOSE") == "full"
INPUTS, KILLS = (20_000, 6) if FULL else (3_000, 2)
PER_SECOND = 350 if FULL else 200

pytestmark = pytest.mark.timeout(400)


def send_steadily(installation: Installation, messages: list[Message]) -> None:
    producer, pause = installation.producer(), threading.Event()
    for number, message in enumerate(messages):
        installation.produce(producer, message)
        if number % 10 == 0:
            pause.wait(10 / PER_SECOND)
    producer.flush(30.0)


def kill_and_wait_for_its_return(installation: Installation, worker: Supervised) -> None:
    lives = len(worker.exits)
    worker.signal(signal.SIGKILL)
    installation.wait_until(
        lambda: len(worker.exits) > lives and "processing" in worker.log_of_this_life, within_s=60.0
    )


@pytest.mark.long
def test_nothing_is_lost_or_doubled_while_workers_are_killed_again_and_again(installation: Installation):
    seed = int(os.environ.get("TRAFFIC_SEED", random.randrange(1_000_000)))
    print(f"TRAFFIC_SEED={seed}")  # noqa: T201 (a failing run must be repeatable)
    messages, rng = mixed_traffic(seed, INPUTS), random.Random(seed)
    workers = installation.start_workers("first", "second")
    traffic = threading.Thread(target=send_steadily, args=(installation, messages))
    traffic.start()
    for kill in range(KILLS):
        look_after(workers, rng.uniform(0.5, 2.0))
        kill_and_wait_for_its_return(installation, workers[kill % 2])
    traffic.join()
    look_after_until(workers, lambda: not left_to_do(installation, messages), 120.0, look_every_s=0.2)
    assert left_to_do(installation, messages) == []
    exits = [code for worker in workers for code in worker.exits]
    assert exits == [-signal.SIGKILL] * KILLS
    assert differences(installation, messages) == []
    assert installation.read("customer.dead-letters") == []
    assert_the_check_finds_what_is_wrong(installation, messages)


def assert_the_check_finds_what_is_wrong(installation: Installation, messages: list[Message]) -> None:
    never_sent = order("customer-0", "never sent", 1_000)
    assert "orders counted for customer-0" in differences(installation, [*messages, never_sent])
    doubled = installation.read("customer.events")[0]
    installation.send([Message("customer.events", doubled.key, doubled.value or b"")])
    event_id = json.loads(doubled.value or b"")["id"]
    assert f"doubled event {event_id}" in differences(installation, messages)
