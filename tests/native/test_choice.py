"""Which codecs a process uses, what it says of them, and that it starts without them."""

import sys
from types import ModuleType

import pytest
from structlog.testing import capture_logs

from tests.native.libraries import library, using
from worker import native
from worker.app import run
from worker.doctor.findings import Level
from worker.doctor.machine import codecs
from worker.native import Choice, NativeMissing, choose
from worker.native.build import digest
from worker.settings import ConfigurationError, Settings

MODULE = "worker.native.compiled"
AUTO, REQUIRE, OFF = Choice.AUTO, Choice.REQUIRE, Choice.OFF


@pytest.fixture(autouse=True)
def _chosen_as_before():
    with using(native.chosen):
        yield


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A library that was built from this source."""
    module = ModuleType(MODULE)
    module.SOURCE = digest()  # type: ignore[attr-defined]  # as the library has it
    monkeypatch.setitem(sys.modules, MODULE, module)
    return module


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setattr(native, "__path__", [])


def test_what_was_built_is_used_unless_it_is_turned_off(built: ModuleType):
    assert (choose(AUTO), native.chosen) == ("yes", built)
    assert (choose(OFF), native.chosen) == ("no, turned off", None)
    assert (choose(REQUIRE), native.chosen) == ("yes", built)


def test_without_a_library_the_python_forms_are_used_and_nothing_is_wrong(missing: None):
    with capture_logs() as lines:
        assert (choose(AUTO), native.chosen) == ("no, not built", None)
    assert lines == []
    assert codecs(AUTO).level is Level.OK


def test_a_library_of_another_source_is_refused_in_one_line(
    built: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(built, "SOURCE", "0" * 64)
    with capture_logs() as lines:
        assert (choose(AUTO), native.chosen) == ("no, built from another source", None)
    assert [line["why"] for line in lines] == ["built from another source"]
    with pytest.raises(NativeMissing, match="built from another source"):
        choose(REQUIRE)


def test_a_worker_that_requires_them_does_not_start_without_and_says_why(missing: None):
    with pytest.raises(ConfigurationError, match=r"^CUSTOMER_CONTEXT_NATIVE: .* they are not built\.$"):
        run.run(Settings(native=REQUIRE), "127.0.0.1:1")


@pytest.mark.parametrize(
    ("choice", "level", "said"),
    [
        (AUTO, Level.WARNING, "Native codecs: no, built from another source."),
        (REQUIRE, Level.FAULT, "Native codecs: no, built from another source."),
        (OFF, Level.OK, "Native codecs: no, turned off."),
    ],
)
def test_the_doctor_says_whether_they_are_used_and_why_not(
    built: ModuleType, monkeypatch: pytest.MonkeyPatch, choice: Choice, level: Level, said: str
):
    assert codecs(choice).what == "Native codecs: yes." or choice is OFF
    monkeypatch.setattr(built, "SOURCE", "0" * 64)
    found = codecs(choice)
    assert (found.level, found.what) == (level, said)


def test_the_library_has_the_hash_of_its_source():
    assert digest() == library().SOURCE  # type: ignore[attr-defined]  # no function of the codecs
