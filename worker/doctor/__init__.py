"""What is wrong with an installation, said before it hurts: `customer-context doctor`.

Rules:
- It changes nothing: no topic, no group, no record; in DATA_DIR one file that is gone at once.
- Every finding is one sentence of what is so and, unless all is well, one of what to do.
- A value that could be a secret or personal is never part of a finding.
- What cannot be looked at, because something before it is broken, is left out, not guessed.
"""

from worker.doctor.findings import Finding, Level

__all__ = ["Finding", "Level"]
