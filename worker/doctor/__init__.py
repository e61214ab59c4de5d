"""Checks of an installation that find problems before they do harm: `customer-context doctor`.

Rules:
- It changes nothing: no topic, no group, no record. In DATA_DIR it makes one file that disappears at once.
- Every finding states a fact in one sentence. A warning or fault has a second sentence that says what to do.
- A value that could be a secret or personal is never part of a finding.
- A check is left out when a problem found before makes it impossible.
"""

from worker.doctor.findings import Finding, Level

__all__ = ["Finding", "Level"]
