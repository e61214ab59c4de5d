"""A loss is acknowledged once, by somebody who knows how far it goes."""

from tables import application, lost_inputs
from tables.lost_inputs import LostInputs
from worker.engine.store import MemoryStore
from worker.engine.unit import Unit

TOPIC = "order.completed"


def committed(store: MemoryStore, unit: Unit) -> None:
    store.write({table.mark: rows for table, rows in unit.changes.items()}, {})


def lossy(*losses: tuple[int, int, int]) -> MemoryStore:
    """A store that remembers losses (first, next_kept, at), each of a transaction of its own."""
    store = MemoryStore()
    for first, next_kept, at in losses:
        unit = Unit(0, store)
        lost_inputs.remember(unit, TOPIC, first, next_kept, at)
        committed(store, unit)
    return store


def test_a_loss_is_remembered_by_topic():
    assert lost_inputs.of(lossy((5, 9, 1))) == {TOPIC: LostInputs(5, 9, 1)}


def test_a_loss_that_comes_before_the_last_was_acknowledged_is_joined_with_it():
    assert lost_inputs.of(lossy((5, 9, 1), (12, 20, 2))) == {TOPIC: LostInputs(5, 20, 2)}


def test_a_loss_is_acknowledged_once():
    store = lossy((5, 9, 1))
    unit = Unit(0, store)
    assert lost_inputs.acknowledge(unit, TOPIC, 9, 3) == LostInputs(5, 9, 1, 3)
    committed(store, unit)
    again = Unit(0, store)
    assert lost_inputs.acknowledge(again, TOPIC, 9, 4) is None
    assert again.changes == {}
    assert lost_inputs.of(store) == {TOPIC: LostInputs(5, 9, 1, 3)}


def test_a_word_on_an_earlier_loss_or_another_topic_acknowledges_nothing():
    unit = Unit(0, lossy((5, 9, 1), (12, 20, 2)))
    assert lost_inputs.acknowledge(unit, TOPIC, 9, 3) is None
    assert lost_inputs.acknowledge(unit, "another", 20, 3) is None
    assert unit.changes == {}


def test_after_an_acknowledgement_a_new_loss_stands_by_itself():
    store = lossy((5, 9, 1))
    unit = Unit(0, store)
    lost_inputs.acknowledge(unit, TOPIC, 9, 3)
    lost_inputs.remember(unit, TOPIC, 12, 20, 4)
    committed(store, unit)
    assert lost_inputs.of(store) == {TOPIC: LostInputs(12, 20, 4)}


def test_who_reads_the_application_is_not_disturbed():
    assert application.read(lossy((5, 9, 1)).scan(application.APPLICATION.mark)) == application.Application()
