"""Folders with personal data: nobody but their owner looks into them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.app import slots
from worker.broker.folder import DataFolder
from worker.doctor import machine
from worker.doctor.findings import Level
from worker.private_folders import make_private


@pytest.fixture(params=[0o000, 0o022, 0o077], autouse=True)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def test_a_new_folder_and_its_missing_parents_are_the_owners_alone(tmp_path):
    make_private(tmp_path / "data" / "store")
    assert (mode(tmp_path / "data"), mode(tmp_path / "data" / "store")) == (0o700, 0o700)


@pytest.mark.parametrize("before", [0o777, 0o755, 0o750, 0o700])
def test_a_folder_from_before_is_tightened_and_what_holds_it_is_left_alone(tmp_path, before):
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(before)
    tmp_path.chmod(0o755)
    make_private(tmp_path / "store")
    assert (mode(tmp_path), mode(tmp_path / "store")) == (0o755, 0o700)


def test_a_file_in_its_place_is_an_error(tmp_path):
    (tmp_path / "store").touch()
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "store")


def test_the_stores_and_the_brokers_data_are_private(tmp_path):
    slots.take(tmp_path / "data" / "store").release()
    with DataFolder(tmp_path / "data" / "kafka").locked(1.0):
        pass
    assert {name: mode(tmp_path / "data" / name) for name in ("store", "kafka")} == {
        "store": 0o700,
        "kafka": 0o700,
    }


def test_doctor_tells_of_a_folder_that_others_may_look_into(tmp_path):
    slots.take(tmp_path / "store").release()
    assert [each.level for each in machine.disk(tmp_path)] == [Level.OK, Level.OK]
    (tmp_path / "store").chmod(0o755)
    warnings = [each.what for each in machine.disk(tmp_path) if each.level is Level.WARNING]
    assert len(warnings) == 1
    assert f"can read {tmp_path / 'store'}" in warnings[0]
