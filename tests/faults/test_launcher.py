"""A protection is switched off by a function with the same arguments. With others, a control fails without proving anything."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults import launcher
from tests.faults.launcher import CONTROLS, add_points, check_fits, plant


@pytest.mark.parametrize(
    "switch", [*CONTROLS.values(), add_points, plant], ids=[*CONTROLS, "points", "plant"]
)
def test_what_is_replaced_takes_the_same_arguments(switch: Callable[[], None], monkeypatch):
    def checked(owner: object, name: str, by: Any) -> None:
        check_fits(getattr(owner, name), by)

    monkeypatch.setattr(launcher, "replace", checked)
    switch()


def test_a_function_with_other_arguments_is_refused():
    def begin(positions: object, *, had_committed: bool) -> None:
        """Has an argument by name."""

    check_fits(begin, lambda positions, **named: None)
    with pytest.raises(TypeError):
        check_fits(begin, lambda positions: None)
