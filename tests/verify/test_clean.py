"""A worker that does what the contract says is found without differences: at rest, in the middle, and while it runs."""

import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from tests.verify.traffic import Traffic

ROUNDS, INPUTS, TURNS = 12, 8, 6


def busy(seed: int) -> tuple[World, Traffic]:
    world = World(seed, max_batch=seed % 7 + 1)
    traffic = Traffic(world, seed)
    for _ in range(ROUNDS):
        traffic.send(INPUTS)
        traffic.run(TURNS)
    return world, traffic


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_has_processed_everything_verifies_clean(seed):
    world, _ = busy(seed)
    report = Observed(world.run()).verify()
    assert report.differences == []
    assert report.unverifiable == []
    assert report.counts["customers"] > 0
    assert report.counts["events"] > 0


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_stopped_halfway_verifies_clean(seed):
    world, _ = busy(seed)
    assert Observed(world).differences() == []


@pytest.mark.parametrize("seed", range(40))
def test_a_worker_that_goes_on_while_it_is_read_verifies_clean(seed):
    world, traffic = busy(seed)

    def meanwhile() -> None:
        traffic.send(6)
        traffic.run(seed % 9)

    assert Observed(world, meanwhile).differences() == []


def test_customers_whose_beginning_is_past_its_retention_are_not_verifiable_instead_of_different():
    world, _ = busy(3)
    observed = Observed(world.run())
    commands = observed.catalogue.commands.name
    for number in range(4):
        observed.logs[commands, number] = observed.logs[commands, number][-2:]
        observed.cut.add((commands, number))
    report = observed.verify()
    assert report.differences == []
    assert any(reason.startswith("customer c") for reason in report.unverifiable)
    assert f"{commands}-0: its oldest records are past their retention" in report.unverifiable
