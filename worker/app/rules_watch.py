"""Differences between the rules files of workers, so that no worker counts orders by wrong rules.

Rules:
- A worker that lacks a version of another worker is not ready, however far in the future that version begins.
- Such a worker takes no input from two days before that version begins. An order may be dated 48 hours ahead.
- If two workers have different rules of the same version, neither is ready and neither takes input. This also begins
  two days before the version.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from worker.membership import Member, RuleClaim, lacking, lacking_sentences

_DAY_S = 86_400
_AHEAD_DAYS = 2


class RulesWatch:
    """Compares one worker's rules file with those of the other members of its group.

    Args:
        mine: the versions of this worker's rules file.
        members: returns the members of the last assignment, including this worker.
        clock: seconds since 1970 UTC.
    """

    def __init__(
        self,
        mine: Mapping[str, RuleClaim],
        members: Callable[[], Sequence[Member]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mine = mine
        self._members = members
        self._clock = clock
        self._counted: dict[str, RuleClaim] = {}

    def remember(self, counted: Mapping[str, RuleClaim]) -> None:
        """Add the versions by which orders were counted, as restored tables hold them."""
        self._counted |= counted

    def reasons(self) -> list[str]:
        """The reasons why this worker is not ready; empty while it has the rules of all workers."""
        begun = [
            f"version {version!r} of the rules file says something else on another worker"
            for version, starts in sorted(self._different().items())
            if self._is_near(starts)
        ]
        return lacking_sentences(self._lacking()) + begun

    def may_take(self) -> bool:
        """Whether inputs may be processed now."""
        starts = [claim.effective_from for claim in self._lacking().values()]
        return not any(map(self._is_near, (*starts, *self._different().values())))

    def _lacking(self) -> dict[str, RuleClaim]:
        return lacking(self._mine, (self._counted, *(member.rules for member in self._members())))

    def _different(self) -> dict[str, int]:
        """The versions whose rules differ on another worker.

        Each has the earlier of the two days on which it begins, in days since 1970 UTC.
        """
        return {
            version: min(claim.effective_from, self._mine[version].effective_from)
            for member in self._members()
            for version, claim in member.rules.items()
            if version in self._mine and claim != self._mine[version]
        }

    def _is_near(self, day: int) -> bool:
        return self._clock() // _DAY_S + _AHEAD_DAYS >= day
