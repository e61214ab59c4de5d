"""The previous release beside this one: side by side they are refused, one after the other they lose nothing.

Its source comes from the repository's history, and its one dependency that is gone is among the development packages.
"""

import io
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.installation import Installation, Message, order, registration
from tests.integration.test_one_application import ended, stop
from tests.supervised import Supervised, look_after

ROOT = Path(__file__).parents[2]
PREVIOUS = "868621b"  # 0.1.0, which has no tag
_BESIDE_S = 8.0

pytestmark = pytest.mark.timeout(240)


class Previous(NamedTuple):
    """folder: the source of the previous release."""

    folder: Path

    def start(self, installation: Installation, name: str) -> Supervised:
        """Start its worker with the installation's settings."""
        command = [sys.executable, "-P", "-m", "worker.cli", "worker"]  # -P: this checkout stays off the path
        environment = {**installation.environment(name), "PYTHONPATH": str(self.folder)}
        return Supervised(command, environment, self.folder / f"{name}.log")


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Previous:
    archived = subprocess.run(["git", "-C", str(ROOT), "archive", PREVIOUS], capture_output=True)
    if archived.returncode:
        pytest.skip(f"the history of this checkout has no commit {PREVIOUS}")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as source:
        source.extractall(folder, filter="data")
    return Previous(folder)


def counted(installation: Installation) -> int:
    """How many orders were counted."""
    return sum(event["type"] == "CustomerSpendingUpdatedEvent" for event in installation.events())


def inputs(first: int, last: int) -> list[Message]:
    """An order each of ten customers, and the registrations before the first of them."""
    names = [f"customer-{number}" for number in range(10)]
    people = [registration(name) for name in names] if first == 0 else []
    orders = [order(names[n % 10], f"order-{n}", 12_345) for n in range(first, last)]
    return people + orders


def differences(installation: Installation) -> str:
    """What `verify` says when it finds any."""
    done = installation.console("verify")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_this_release_is_refused_beside_the_previous_one_and_takes_over_once_that_has_stopped(
    installation: Installation, previous: Previous
):
    old = previous.start(installation, "one")
    installation.workers.append(old)
    installation.send(inputs(0, 40))
    installation.wait_until(lambda: counted(installation) == 40)
    code, said = ended(installation, "two")
    assert code == 2, said
    assert "an earlier release" in said
    installation.send(inputs(40, 60))
    installation.wait_until(lambda: counted(installation) == 60)
    assert old.exits == []
    old.signal(signal.SIGTERM)
    old.wait(30)
    installation.workers.clear()
    installation.start_workers("one", "two")  # on the old one's stores, and on none
    installation.send([*inputs(30, 60), *inputs(60, 90)])  # what the old one has counted, once more
    installation.wait_until(lambda: counted(installation) == 90)
    stop(installation)
    assert differences(installation) == ""


@pytest.mark.long
def test_the_previous_release_gets_nothing_beside_this_one(installation: Installation, previous: Previous):
    [new] = installation.start_workers("one")
    installation.send(inputs(0, 40))
    installation.wait_until(lambda: counted(installation) == 40)
    old = previous.start(installation, "two")
    look_after([new, old], _BESIDE_S)
    old.end()
    assert '"processing"' not in old.log
    assert '"fenced"' not in old.log
    installation.send(inputs(40, 60))
    installation.wait_until(lambda: counted(installation) == 60)
    assert new.exits == []
    stop(installation)
    assert differences(installation) == ""


@pytest.mark.long
def test_a_downgrade_against_the_notes_is_put_right_by_the_next_upgrade(
    installation: Installation, previous: Previous
):
    """0.1.0 knows no data format, so it cannot refuse. What it leaves out are local indexes."""
    installation.start_workers("one")
    installation.send(inputs(0, 40))
    installation.wait_until(lambda: counted(installation) == 40)
    stop(installation)
    old = previous.start(installation, "one")
    installation.workers.append(old)
    installation.send(inputs(40, 60))
    installation.wait_until(lambda: counted(installation) == 60)
    old.signal(signal.SIGTERM)
    old.wait(30)
    installation.workers.clear()
    installation.start_workers("one")
    late = [order(f"customer-{n}", f"late-{n}", 1_000_000, "2025-05-01T12:00:00Z") for n in range(10)]
    installation.send([*inputs(20, 60), *late])
    installation.wait_until(lambda: counted(installation) == 70)
    stop(installation)
    assert differences(installation) == ""
