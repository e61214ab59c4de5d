"""The result of a verification: differences, gaps that prevent a verdict, and counts."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Difference:
    """One difference between the recomputation and what the worker wrote.

    Attributes:
        kind: a few words that group differences.
        where: a customerId, a position or a table key, without personal data.
        text: the details; may be empty.
    """

    kind: str
    where: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}{': ' if self.text else ''}{self.text}"


@dataclass
class Report:
    """All findings of a verification.

    Attributes:
        differences: everything that differs.
        unverifiable: what could not be verified, with the reason.
        counts: the number of verified items of each kind.
        position: topic -> partition -> end offset. The verification covers the records before these offsets.
    """

    differences: list[Difference] = field(default_factory=list)
    unverifiable: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    position: dict[str, dict[int, int]] = field(default_factory=dict)

    def differs(self, kind: str, where: str, text: str = "") -> None:
        """Add a difference."""
        self.differences.append(Difference(kind, where, text))

    def add(self, other: "Report") -> None:
        """Add the differences, gaps and counts of another report. The position stays."""
        self.differences += other.differences
        self.unverifiable += other.unverifiable
        self.counts += other.counts
