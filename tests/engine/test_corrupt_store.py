"""A bit flipped or a file cut short in a local store: refused, made anew, or a consistent earlier state; never served."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.engine import store_files
from worker.engine.store import RocksStore, RocksStores, Store, StoreCorrupt

_TABLE = b"T"
_FLUSHED, _ALL = 600, 677
_FOR_EVER_S = 5.0
_FILES = ("CURRENT", "MANIFEST*", "*.sst", "*.log")


def _rows(upto: int) -> dict[bytes, bytes]:
    """What the first writes leave behind: new rows, and some that change again and again."""
    rows = {b"new %05d" % n: _value(n) for n in range(1, upto + 1)}
    return rows | {b"again %05d" % (n % 100): _value(n) for n in range(1, upto + 1)}


def _value(n: int) -> bytes:
    return b"%d " % n + random.Random(n).randbytes(100)


def _write(to: Store, first: int, last: int) -> None:
    for n in range(first, last + 1):
        value = _value(n)
        to.write({_TABLE: {b"new %05d" % n: value, b"again %05d" % (n % 100): value}}, {_TABLE: n})


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The files of a worker that was killed: of one store, whose first writes are in a table, the last ones in a log."""
    stores = RocksStores(tmp_path / "alive")
    opened = stores.open(0)
    assert isinstance(opened, RocksStore)
    _write(opened, 1, _FLUSHED)
    opened._db.flush()
    _write(opened, _FLUSHED + 1, _ALL)
    left = shutil.copytree(tmp_path / "alive", tmp_path / "left", ignore=shutil.ignore_patterns("LOCK"))
    stores.release(())
    return Path(left)


def _damage(file: Path, kind: str, chance: random.Random) -> None:
    data = bytearray(file.read_bytes())
    at = chance.randrange(len(data))
    if kind == "cut":
        del data[at:]
    else:
        data[at] ^= 1 << chance.randrange(8)
    file.write_bytes(data)


def _damaged(killed: Path, pattern: str, kind: str, times: int) -> Iterator[Path]:
    """Copies of the folder with one file damaged, at places that the seed chooses."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(1_000_000)))
    print(f"FAULTS_SEED={seed}")  # noqa: T201 (a failing run must be repeatable)
    chance = random.Random(seed)
    for n in range(times):
        copy = Path(shutil.copytree(killed, killed.with_name(f"damaged-{n}")))
        [file] = [file for file in (copy / "00000").glob(pattern) if file.stat().st_size]
        _damage(file, kind, chance)
        yield copy


def _is_served_right(folder: Path) -> bool:
    """Whether the store, opened as a worker opens it, says nothing that its offset does not stand for."""
    stores = RocksStores(folder)
    try:
        opened = stores.open(0)
        upto = opened.offsets().get(_TABLE, 0)
        rows = _rows(upto)
        forwards = dict(opened.scan(_TABLE))
        backwards = dict(opened.before(_TABLE, b"", b"zzz"))
        singly = {key: opened.get(_TABLE, key) for key in rows}
        together = dict(zip(rows, opened.get_many(_TABLE, list(rows)), strict=True))
        return upto <= _ALL and forwards == backwards == rows == singly == together
    except StoreCorrupt:
        return True
    finally:
        stores.release(())


@pytest.mark.parametrize("kind", ["cut", "flip"])
@pytest.mark.parametrize("pattern", _FILES)
def test_what_is_damaged_is_never_served(killed: Path, pattern: str, kind: str):
    assert all(_is_served_right(copy) for copy in _damaged(killed, pattern, kind, 15))


@pytest.mark.parametrize("pattern", ["MANIFEST*", "*.log"])
@pytest.mark.parametrize("kind", [5, 6, 7, 8, 9, 129])
def test_a_record_that_rocksdb_would_read_for_ever_is_noticed(killed: Path, pattern: str, kind: int):
    """One flipped bit makes 5 of 1, the type of a whole record. RocksDB holds the GIL, so the opening would never end."""
    [file] = [file for file in (killed / "00000").glob(pattern) if file.stat().st_size]
    data = bytearray(file.read_bytes())
    second = 7 + int.from_bytes(data[4:6], "little")
    data[second + 6] = kind
    file.write_bytes(data)
    assert "never written" in str(store_files.damage(file.parent))
    assert _is_served_right(killed)


@pytest.mark.parametrize("kind", [5, 9])
def test_control_rocksdb_alone_reads_a_record_of_a_recycled_file_for_ever(killed: Path, kind: int):
    [manifest] = (killed / "00000").glob("MANIFEST*")
    data = bytearray(manifest.read_bytes())
    data[7 + int.from_bytes(data[4:6], "little") + 6] = kind
    manifest.write_bytes(data)
    opening = "import rocksdict, sys; rocksdict.Rdict(sys.argv[1], rocksdict.Options(raw_mode=True))"
    with subprocess.Popen(
        [sys.executable, "-c", opening, manifest.parent], stderr=subprocess.DEVNULL
    ) as opened:
        try:
            ended = opened.wait(_FOR_EVER_S)
        except subprocess.TimeoutExpired:
            ended = None
        opened.kill()
    assert (ended is None) == (kind == 5)


def test_a_manifest_that_lost_its_end_does_not_lose_a_table_in_silence(killed: Path):
    _cut_the_last_table_off(killed / "00000")
    assert _is_served_right(killed)
    assert (killed / "00000.corrupt").exists()


def test_control_rocksdb_alone_serves_the_log_without_that_table(
    killed: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store_files, "damage", lambda _: None)
    _cut_the_last_table_off(killed / "00000")
    assert not _is_served_right(killed)


def _cut_the_last_table_off(folder: Path) -> None:
    [manifest] = folder.glob("MANIFEST*")
    os.truncate(manifest, manifest.stat().st_size - 30)


def test_a_store_that_was_found_corrupt_is_made_anew_at_the_next_start_and_kept(killed: Path):
    [table] = (killed / "00000").glob("*.sst")
    damage_a_block(table)
    stores = RocksStores(killed)
    with pytest.raises(StoreCorrupt):
        dict(stores.open(0).scan(_TABLE))
    stores.release(())
    stores = RocksStores(killed)
    assert stores.open(0).offsets() == {}
    assert dict(stores.open(0).scan(_TABLE)) == {}
    assert (killed / "00000.corrupt" / table.name).exists()
    stores.release(())


def test_control_the_iterator_of_rocksdict_ends_at_a_corrupt_block_as_at_the_last_row(
    killed: Path, monkeypatch: pytest.MonkeyPatch
):
    def items(self: RocksStore, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows: Iterator[tuple[bytes, bytes]] = self._db.items(from_key=first)  # type: ignore[assignment]
        return rows

    monkeypatch.setattr(RocksStore, "_ascending", items)
    [table] = (killed / "00000").glob("*.sst")
    damage_a_block(table)
    stores = RocksStores(killed)
    served = dict(stores.open(0).scan(_TABLE))
    assert 0 < len(served) < len(_rows(_ALL))
    stores.release(())


def damage_a_block(table: Path) -> None:
    """Flip a bit in the middle of a table, where its rows are."""
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 1
    table.write_bytes(data)


def test_an_undamaged_store_is_opened_with_everything(killed: Path):
    stores = RocksStores(killed)
    assert stores.open(0).offsets() == {_TABLE: _ALL}
    assert dict(stores.open(0).scan(_TABLE)) == _rows(_ALL)
    stores.release(())
    assert not (killed / "00000.corrupt").exists()


def test_a_store_without_its_current_file_is_kept_and_made_anew(killed: Path):
    (killed / "00000" / "CURRENT").unlink()
    stores = RocksStores(killed)
    assert stores.open(0).offsets() == {}
    assert list((killed / "00000.corrupt").glob("*.sst"))
    stores.release(())
