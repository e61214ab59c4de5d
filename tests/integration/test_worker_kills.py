"""Two workers, all kinds of inputs, and one of the workers killed again and again.

A short dose by default; TRAFFIC_DOSE=full is the one of the acceptance: 20,000 inputs and six kills. The seed is
printed; TRAFFIC_SEED replays the inputs.
"""

import os
import random
import signal
import threading

import pytest

from tests.integration.installation import Installation, Message
from tests.integration.mixed_traffic import differences, is_worked_off, mixed_traffic
from tests.supervised import look_after

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


def test_nothing_is_lost_or_doubled_while_a_worker_is_killed_again_and_again(installation: Installation):
    seed = int(os.environ.get("TRAFFIC_SEED", random.randrange(1_000_000)))
    print(f"TRAFFIC_SEED={seed}")  # noqa: T201 (a failing run must be repeatable)
    messages, rng = mixed_traffic(seed, INPUTS), random.Random(seed)
    workers = installation.start_workers("first", "second")
    traffic = threading.Thread(target=send_steadily, args=(installation, messages))
    traffic.start()
    for _ in range(KILLS):
        look_after(workers, rng.uniform(2.0, 7.0))
        workers[0].signal(signal.SIGKILL)
    look_after(workers, 1.0)
    traffic.join()
    installation.wait_until(lambda: is_worked_off(installation, messages), within_s=120.0)
    assert [worker.exits for worker in workers] == [[-signal.SIGKILL] * KILLS, []]
    assert differences(installation, messages) == []
    assert installation.read("customer.dead-letters") == []
