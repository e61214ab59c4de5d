"""The worker knows by how much its clock is not Kafka's."""

from worker.engine.kafka_clock import KafkaClock

DAY_MS = 86_400_000


def test_a_clock_that_is_days_ahead_is_put_right():
    clock = KafkaClock()
    clock.note(100 * DAY_MS, 60 * DAY_MS)
    assert clock.kafkas(100 * DAY_MS) == 60 * DAY_MS


def test_the_way_of_a_record_is_no_difference():
    clock = KafkaClock()
    clock.note(100 * DAY_MS + 900, 100 * DAY_MS)
    assert clock.kafkas(100 * DAY_MS) == 100 * DAY_MS


def test_a_clock_that_was_set_right_counts_again():
    clock = KafkaClock()
    clock.note(100 * DAY_MS, 60 * DAY_MS)
    clock.note(61 * DAY_MS, 61 * DAY_MS)
    assert clock.kafkas(61 * DAY_MS) == 61 * DAY_MS
