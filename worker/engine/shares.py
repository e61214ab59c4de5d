"""Which member of the group gets which partitions: fair shares, with as few moves as fair shares allow.

Rules:
- Of P partitions, each of N members holds floor(P/N) or ceil(P/N), whatever it held before.
- A member keeps the partitions that it holds, up to its share. The others go first to members that keep a copy of them.
- A copy of a partition is never on the partition's own member. A former owner is the first choice for a copy.
- The same members with the same holdings always get the same answer, so that nothing moves without need.

worker.engine.patches.assignor puts this in place of Faust's assignor. Faust's lets each member keep up to ceil(P/N), so
that a new member may get no partition.
"""

from collections.abc import Iterable, Mapping

Holdings = Mapping[str, Iterable[int]]
"""Partition numbers by member id."""


def fair_shares(held: Holdings, copied: Holdings, partitions: int) -> dict[str, set[int]]:
    """The partitions of each member.

    Args:
        held: the partitions that each member held before. Every member is a key. Two members may name one partition.
        copied: the partitions of which each member kept copies before.
        partitions: the number of partitions, numbered from 0.
    """
    shares = _still_held(held, partitions)
    low, larger = divmod(partitions, len(shares))
    _give_up(shares, copied, low, larger)
    free = sorted(set(range(partitions)).difference(*shares.values()))
    _give_out(shares, copied, free, low, larger)
    return shares


def copies(
    shares: Holdings, held: Holdings, copied: Holdings, partitions: int, each: int
) -> dict[str, set[int]]:
    """The partitions of which each member keeps copies.

    Args:
        shares: the partitions of each member from now on.
        held: the partitions that each member held before.
        copied: the partitions of which each member kept copies before.
        partitions: the number of partitions, numbered from 0.
        each: how many copies of a partition are wanted; bounded by the number of other members.
    """
    mine: dict[str, set[int]] = {member: set() for member in sorted(shares)}
    each = min(each, len(mine) - 1)
    most = -(-partitions * each // len(mine))
    left = dict.fromkeys(range(partitions), each)
    # An existing copy stays, so that copies do not move without need. New copies on former owners are bounded by `most`.
    for before, bound in ((copied, partitions), (held, most)):
        for member, copied_here in mine.items():
            for number in sorted(before.get(member, ())):
                may = left.get(number, 0) and number not in copied_here and number not in shares[member]
                if may and len(copied_here) < bound:
                    copied_here.add(number)
                    left[number] -= 1
    for number in range(partitions):
        for _ in range(left[number]):
            others = [
                member for member in mine if number not in mine[member] and number not in shares[member]
            ]
            mine[min(others, key=lambda member: len(mine[member]))].add(number)
    return mine


def _still_held(held: Holdings, partitions: int) -> dict[str, set[int]]:
    """The partitions that each member holds. If several members claim one, the member with the fewest claims keeps it."""
    shares: dict[str, set[int]] = {member: set() for member in sorted(held)}
    claims = {member: set(held[member]) & set(range(partitions)) for member in shares}
    for number in range(partitions):
        owners = [member for member in shares if number in claims[member]]
        if owners:
            shares[min(owners, key=lambda member: (len(claims[member]), len(shares[member])))].add(number)
    return shares


def _give_up(shares: dict[str, set[int]], copied: Holdings, low: int, larger: int) -> None:
    """Take from each member what exceeds its share. The members that hold most keep the larger shares."""
    copies_of = {member: set(copied.get(member, ())) for member in shares}
    by_size = sorted(shares, key=lambda member: -len(shares[member]))
    for rank, member in enumerate(by_size):
        most = low + 1 if rank < larger else low
        poor = [other for other in shares if len(shares[other]) < low]
        wanted = {number for other in poor for number in copies_of[other]}
        spare = sorted(shares[member], key=lambda number: (number not in wanted, number))
        shares[member].difference_update(spare[: max(0, len(spare) - most)])


def _give_out(shares: dict[str, set[int]], copied: Holdings, free: list[int], low: int, larger: int) -> None:
    """Give free partitions to members below their share: to one that keeps a copy, else to the one that holds least."""
    copies_of = {member: set(copied.get(member, ())) for member in shares}

    def has_room(member: str) -> bool:
        held = len(shares[member])
        if held < low:
            return True
        return held == low and sum(len(mine) > low for mine in shares.values()) < larger

    def keepers(number: int) -> list[str]:
        return [member for member in shares if number in copies_of[member]]

    later = []
    for number in sorted(free, key=lambda number: (len(keepers(number)), number)):
        able = [member for member in keepers(number) if has_room(member)]
        if able:
            shares[min(able, key=lambda member: len(shares[member]))].add(number)
        else:
            later.append(number)
    for number in later:
        able = [member for member in shares if has_room(member)]
        shares[min(able, key=lambda member: len(shares[member]))].add(number)
