"""What a verification found."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Difference:
    """kind: a few words that group differences; where: a customerId, a position or a table key without personal data."""

    kind: str
    where: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}{': ' if self.text else ''}{self.text}"


@dataclass
class Report:
    """Everything that differs, what could not be verified and why, and how much was looked at.

    position: up to where, as topic -> partition -> end offset.
    """

    differences: list[Difference] = field(default_factory=list)
    unverifiable: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    position: dict[str, dict[int, int]] = field(default_factory=dict)

    def differs(self, kind: str, where: str, text: str = "") -> None:
        """Note a difference."""
        self.differences.append(Difference(kind, where, text))

    def add(self, other: "Report") -> None:
        """Take over what another report holds."""
        self.differences += other.differences
        self.unverifiable += other.unverifiable
        self.counts += other.counts
