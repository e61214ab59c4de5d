"""The tests on a broker have an installation of their own each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.installation import Installation


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    """Topics that exist, and no worker yet."""
    made = Installation(kafka, tmp_path)
    yield made
    made.end()
