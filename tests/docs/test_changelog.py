"""The changelog has the version of the distribution, and one form."""

import re
import tomllib
from collections import Counter
from itertools import pairwise

from tests.docs.console import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text()
KINDS = ["Added", "Changed", "Removed", "Fixed", "Upgrade notes"]
LONG_CHARS = 40  # a shorter line may stand for several changes


def test_the_version_of_the_distribution_is_the_latest_release():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    first, latest, *_ = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert first == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", latest)


def test_each_release_has_its_changes_in_one_order():
    for release in TEXT.split("\n## ")[1:]:
        kinds = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert all(KINDS.index(one) < KINDS.index(next_one) for one, next_one in pairwise(kinds)), kinds


def test_a_release_says_nothing_twice():
    for release in TEXT.split("\n## ")[1:]:
        said = Counter(line.strip(" -") for line in release.splitlines() if len(line) > LONG_CHARS)
        assert [line for line, times in said.items() if times > 1] == []
