import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from worker.domain.days import Days

day_numbers = some.one_of(
    some.integers(20_000, 20_040), some.integers(-3, 3), some.integers(-40_000, 3_000_000)
)
amounts = some.one_of(some.integers(0, 20_000), some.integers(0, 10**30))


def stored_again(days: Days) -> Days:
    return msgspec.json.decode(msgspec.json.encode(days), type=Days)


class DaysAsDictionary(RuleBasedStateMachine):
    """Whatever is done to them, they are what a dictionary says."""

    def __init__(self) -> None:
        super().__init__()
        self.days = Days()
        self.model: dict[int, int] = {}

    @rule(day=day_numbers, amount=amounts)
    def add(self, day: int, amount: int) -> None:
        self.days.add(day, amount)
        self.model[day] = self.model.get(day, 0) + amount

    @rule(day=day_numbers)
    def drop_before(self, day: int) -> None:
        taken = self.days.take_before(day)
        assert taken == {each: amount for each, amount in self.model.items() if each < day}
        self.model = {each: amount for each, amount in self.model.items() if each >= day}

    @rule(first=day_numbers, days=some.integers(-1, 400))
    def between(self, first: int, days: int) -> None:
        last = first + days
        assert self.days.between(first, last) == sum(
            amount for day, amount in self.model.items() if first <= day <= last
        )

    @rule(day=day_numbers)
    def mark(self, day: int) -> None:
        self.days.mark(day)

    @rule(after=some.integers(-5, 100), days=some.integers(0, 100))
    def between_after_the_mark(self, after: int, days: int) -> None:
        self.between(self.days.marked + after, days)

    @rule()
    def store(self) -> None:
        self.days = stored_again(self.days)

    @invariant()
    def is_marked_as_the_text_says(self) -> None:
        if self.days.mark_at >= 0:
            again = Days.of(self.model)
            again.mark(self.days.marked)
            assert (self.days.mark_day, self.days.mark_at) == (again.mark_day, again.mark_at)

    @invariant()
    def same(self) -> None:
        assert list(self.days.amounts().items()) == sorted(self.model.items())
        assert self.days == Days.of(self.model)


TestDaysAsDictionary = DaysAsDictionary.TestCase


@pytest.mark.parametrize("day", [-2, -1, 0, 1])
def test_the_first_day_may_be_any_day(day):
    days = Days()
    days.add(day, 5)
    assert (days.amounts(), days.between(day, day)) == ({day: 5}, 5)


@pytest.mark.parametrize("late_by", [1, 2, 7, 50, 99, 100, 101])
def test_a_late_amount_is_added_to_its_day_however_late(late_by):
    model = {20_000 + 2 * day: day for day in range(50)}
    days = Days.of(model)
    day = max(model) - late_by
    days.add(day, 7)
    model[day] = model.get(day, 0) + 7
    assert days == Days.of(model)


@given(some.dictionaries(day_numbers, amounts))
def test_what_was_made_of_a_dictionary_is_that_dictionary(of):
    assert Days.of(of).amounts() == of


def test_the_days_before_the_latest_are_text():
    days = Days.of({100: 5, 103: 7, 104: 9})
    assert msgspec.json.encode(days) == b'[100,104,9,"5,3,7,1,",0,0,-1]'
    days.mark(102)
    assert msgspec.json.encode(days) == b'[100,104,9,"5,3,7,1,",102,103,4]'


def test_days_that_an_earlier_release_stored_are_read_and_have_no_mark():
    days = msgspec.json.decode(b'[100,104,9,"5,3,7,1,"]', type=Days)
    assert (days, days.mark_at) == (Days.of({100: 5, 103: 7, 104: 9}), -1)


def test_the_days_after_the_mark_are_read_without_the_later_ones(monkeypatch: pytest.MonkeyPatch):
    days = Days.of(dict.fromkeys(range(20_000, 21_000), 3))
    days.mark(20_500)
    monkeypatch.setattr(Days, "_cut", None)
    assert days.between(20_500, 20_503) == 12
    days.mark(20_504)
    assert days.between(20_504, 20_504) == 3
    assert days.take_before(20_100) == dict.fromkeys(range(20_000, 20_100), 3)
    days.add(21_000, 5)
    assert days.between(20_504, 20_505) == 6
    with pytest.raises(TypeError):
        days.between(20_503, 20_504)
