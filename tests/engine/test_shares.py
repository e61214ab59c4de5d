"""Fair shares of the partitions: balanced, sticky, and copies where they help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.shares import copies, fair_shares

Moves = list[tuple[str, int]]
"""Joins and leaves, in order: ("join", _) or ("leave", which of those that are there)."""

_MOVES = st.lists(st.tuples(st.sampled_from(["join", "join", "leave"]), st.integers(0, 99)), max_size=12)


def _members_after(moves: Moves) -> list[list[str]]:
    members, seen, steps = ["m0"], 1, []
    for what, which in moves:
        if what == "join":
            members = [*members, f"m{seen}"]
            seen += 1
        elif len(members) > 1:
            members = [member for place, member in enumerate(members) if place != which % len(members)]
        steps.append(members)
    return steps


def _best_kept(held: dict[str, set[int]], partitions: int) -> int:
    """How many partitions can stay where they are, at most, when shares are fair."""
    low, larger = divmod(partitions, len(held))
    sizes = sorted((len(kept) for kept in held.values()), reverse=True)
    return sum(min(size, low + 1 if place < larger else low) for place, size in enumerate(sizes))


@given(_MOVES, st.integers(1, 40), st.integers(0, 2))
def test_after_any_joins_and_leaves_shares_differ_by_one_at_most_and_nothing_moves_without_need(
    moves: Moves, partitions: int, each: int
):
    shares: dict[str, set[int]] = {"m0": set(range(partitions))}
    copied: dict[str, set[int]] = {"m0": set()}
    for members in _members_after(moves):
        held = {member: shares.get(member, set()) for member in members}
        kept_copies = {member: copied.get(member, set()) for member in members}
        shares = fair_shares(held, kept_copies, partitions)
        copied = copies(shares, held, kept_copies, partitions, each)

        assert sorted(number for mine in shares.values() for number in mine) == list(range(partitions))
        sizes = [len(mine) for mine in shares.values()]
        assert max(sizes) - min(sizes) <= 1
        assert sum(len(shares[member] & held[member]) for member in members) == _best_kept(held, partitions)
        assert fair_shares(shares, copied, partitions) == shares


@given(_MOVES, st.integers(1, 40), st.integers(0, 3))
def test_each_partition_has_its_copies_on_other_members_and_they_stay(
    moves: Moves, partitions: int, each: int
):
    shares: dict[str, set[int]] = {"m0": set(range(partitions))}
    copied: dict[str, set[int]] = {"m0": set()}
    for members in _members_after(moves):
        held = {member: shares.get(member, set()) for member in members}
        kept_copies = {member: copied.get(member, set()) for member in members}
        shares = fair_shares(held, kept_copies, partitions)
        copied = copies(shares, held, kept_copies, partitions, each)

        wanted = min(each, len(members) - 1)
        for number in range(partitions):
            assert sum(number in mine for mine in copied.values()) == wanted
        assert all(not copied[member] & shares[member] for member in members)
        assert copies(shares, shares, copied, partitions, each) == copied


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=2), st.sets(st.integers(-2, 12)), min_size=1, max_size=8
    ),
    st.integers(1, 10),
)
def test_members_that_claim_the_same_or_unknown_partitions_share_fairly_all_the_same(
    held: dict[str, set[int]], partitions: int
):
    shares = fair_shares(held, held, partitions)
    assert sorted(number for mine in shares.values() for number in mine) == list(range(partitions))
    sizes = [len(mine) for mine in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("before", "partitions", "sizes"),
    [
        ({"a": {0, 1}, "b": {2, 3}, "c": {4, 5}, "d": {6, 7}, "e": set()}, 8, [2, 2, 2, 1, 1]),
        ({"a": {0, 1, 2, 3}, "b": set(), "c": set()}, 4, [2, 1, 1]),
        ({"a": {0}, "b": {1}, "c": set()}, 2, [1, 1, 0]),
    ],
)
def test_a_member_that_joins_gets_its_share(before: dict[str, set[int]], partitions: int, sizes: list[int]):
    shares = fair_shares(before, {}, partitions)
    assert sorted((len(mine) for mine in shares.values()), reverse=True) == sizes


def test_the_partitions_of_a_member_that_left_go_to_the_one_that_copied_them():
    before = {"a": {0, 1, 2}, "b": {3, 4, 5}}
    copied = {"a": {6, 7, 8}, "b": set()}
    shares = fair_shares(before, copied, 9)
    assert len(shares["a"] & {6, 7, 8}) == 2
    assert before["a"] <= shares["a"]
    assert before["b"] <= shares["b"]


def test_a_joiner_is_given_what_it_copied_already():
    shares = fair_shares({"a": {0, 1, 2, 3}, "b": set()}, {"b": {2, 3}}, 4)
    assert shares == {"a": {0, 1}, "b": {2, 3}}


def test_a_former_owner_keeps_the_copy():
    held = {"a": {0, 1}, "b": set(), "c": set()}
    shares = fair_shares(held, {}, 2)
    kept = copies(shares, held, {}, 2, 1)
    moved = {0, 1} - shares["a"]
    assert moved <= kept["a"]
