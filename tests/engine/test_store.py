"""Both stores behave as a plain dictionary per table, and RocksDB keeps what was written."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
import rocksdict
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.store import BLOCK_CACHE_BYTES, MemoryStores, RocksStore, RocksStores, Store, Stores
from worker.engine.unit import Table, Unit, with_indexes

A, B = b"A", b"B"
KEYS = st.binary(min_size=1, max_size=4)
ROWS = st.dictionaries(KEYS, st.none() | st.binary(max_size=5), max_size=6)
WRITE = st.tuples(
    st.dictionaries(st.sampled_from([A, B]), ROWS),
    st.dictionaries(st.sampled_from([A, B]), st.integers(min_value=0, max_value=2**63)),
    st.booleans(),
)


@pytest.fixture(params=["memory", "rocksdb"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened: Stores = MemoryStores() if request.param == "memory" else RocksStores(tmp_path)
    yield opened
    opened.release(())


@settings(max_examples=60, deadline=None)
@given(writes=st.lists(WRITE, max_size=5), prefix=st.binary(max_size=2))
def test_both_stores_hold_what_a_dictionary_would_after_any_writes(
    writes: list[tuple[Mapping[bytes, Mapping[bytes, bytes | None]], Mapping[bytes, int], bool]],
    prefix: bytes,
):
    with TemporaryDirectory() as folder:
        rocks, memory = RocksStores(Path(folder)), MemoryStores()
        stores = rocks.open(0), memory.open(0)
        model: dict[bytes, dict[bytes, bytes]] = {A: {}, B: {}}
        offsets: dict[bytes, int] = {}
        for changes, marks, loaded in writes:
            for store in stores:
                if loaded:
                    store.load(changes, marks)
                    store.flush()
                else:
                    store.write(changes, marks)
            offsets.update(marks)
            for table, rows in changes.items():
                merged = {**model[table], **rows}
                model[table] = {key: value for key, value in merged.items() if value is not None}
        for store in stores:
            assert store.offsets() == offsets
            for table in (A, B):
                wanted = sorted(row for row in model[table].items() if row[0].startswith(prefix))
                assert list(store.scan(table, prefix)) == wanted
                later = sorted(row for row in model[table].items() if row[0] > prefix)
                assert list(store.after(table, prefix)) == later
                for end in (prefix + b"\x7f", prefix + b"\xff\xff"):
                    earlier = [row for row in wanted if row[0] < end]
                    assert list(store.before(table, prefix, end)) == earlier[::-1]
                assert all(store.get(table, key) == value for key, value in model[table].items())
                keys = [prefix, *model[table], prefix]
                assert store.get_many(table, keys) == [model[table].get(key) for key in keys]
        rocks.release(())


def test_what_comes_after_a_key_ends_with_its_table(stores: Stores):
    store = stores.open(0)
    store.write({A: {b"1": b"", b"2": b"", b"21": b"", b"3": b""}, B: {b"9": b""}}, {A: 7})
    assert [key for key, _ in store.after(A, b"2")] == [b"21", b"3"]
    assert [key for key, _ in store.after(A, b"20")] == [b"21", b"3"]
    assert list(store.after(A, b"3")) == []
    assert list(store.after(b"C", b"")) == []


def test_a_key_that_is_not_there_is_none_and_a_table_never_written_is_empty(stores: Stores):
    store = stores.open(0)
    store.write({A: {b"k": b"v"}}, {})
    assert store.get(A, b"other") is None
    assert store.get(B, b"k") is None
    assert list(store.scan(B)) == []
    assert store.offsets() == {}


def test_an_empty_value_is_a_value_and_none_deletes(stores: Stores):
    store = stores.open(0)
    store.write({A: {b"k": b"", b"gone": b"v"}}, {})
    store.write({A: {b"gone": None}}, {})
    assert list(store.scan(A)) == [(b"k", b"")]


def test_a_scan_yields_ascending_keys_of_its_prefix_and_table_alone(stores: Stores):
    store = stores.open(0)
    store.write({A: {b"ab": b"2", b"a": b"1", b"b": b"4", b"a\xff": b"3"}, B: {b"a": b"other"}}, {A: 4, B: 1})
    assert list(store.scan(A, b"a")) == [(b"a", b"1"), (b"ab", b"2"), (b"a\xff", b"3")]


def test_partitions_do_not_see_each_other(stores: Stores):
    stores.open(0).write({A: {b"k": b"0"}}, {A: 1})
    assert stores.open(1).get(A, b"k") is None
    assert stores.open(1).offsets() == {}


def test_a_partition_that_stays_is_not_opened_again(stores: Stores):
    kept, dropped = stores.open(0), stores.open(1)
    kept.write({A: {b"k": b"v"}}, {})
    dropped.write({A: {b"k": b"v"}}, {})
    stores.release([0])
    assert stores.open(0) is kept
    assert kept.get(A, b"k") == b"v"
    assert stores.open(1) is not dropped


def test_rocksdb_serves_again_what_it_held_when_the_partition_left(tmp_path: Path):
    stores = RocksStores(tmp_path)
    stores.open(3).write({A: {b"k": b"v"}}, {A: 7})
    stores.release(())
    again = RocksStores(tmp_path).open(3)
    assert (again.get(A, b"k"), again.offsets()) == (b"v", {A: 7})
    again.close()


def test_a_store_that_was_made_with_other_options_of_rocksdb_serves_and_takes_rows(tmp_path: Path):
    options = rocksdict.Options(
        raw_mode=True
    )  # as before decision 36: each level compressed, four files a compaction
    made = rocksdict.Rdict(str(tmp_path / "00000"), options)
    old = {b"%04d" % n: b"old" * 50 for n in range(1_000)}
    for key, value in old.items():
        made.put(A + key, value)
        if key.endswith(b"99"):
            made.flush()
    made.close()
    new = {b"%04d" % n: b"new" for n in range(500, 1_500)}
    for _ in range(2):
        store = cast("RocksStore", RocksStores(tmp_path).open(0))
        store.write({A: new}, {A: 7})
        store._db.flush()
        store._db.compact_range(None, None)
        assert dict(store.scan(A)) == old | new
        assert store.get_many(A, [b"0000", b"0500", b"1499"]) == [b"old" * 50, b"new", b"new"]
        store.close()


@pytest.mark.parametrize("loaded", [True, False])
def test_rocksdb_stores_have_our_cache_when_they_are_made_and_when_they_are_opened_again(
    tmp_path: Path, loaded: bool
):
    for stores in RocksStores(tmp_path), RocksStores(tmp_path):
        for partition in (0, 1):
            store = stores.open(partition)
            if loaded:
                store.load({A: {b"k": b"v"}}, {})
                store.flush()
            else:
                store.write({A: {b"k": b"v"}}, {})
            store = cast("RocksStore", store)
            assert store._db.property_int_value("rocksdb.block-cache-capacity") == BLOCK_CACHE_BYTES
        stores.release(())


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts what a process reads")
def test_a_look_up_reads_little_though_the_indexes_do_not_fit_into_the_cache(tmp_path: Path):
    rows, asked = 200_000, 500
    stores = RocksStores(tmp_path, block_cache_bytes=1 << 16)  # as 16 MB are to millions of rows
    store = cast(RocksStore, stores.open(0))
    for first in range(20):
        store.load({A: {b"%08d" % n: b"%0100d" % n for n in range(first, rows, 20)}}, {})
    store.flush()
    # Into one large file: the indexes of small ones always stay in the cache.
    store._db.compact_range(None, None)
    before = _bytes_read()
    for n in range(asked):
        assert store.get(A, b"%08d" % (n * 77_777 % rows)) is not None
    assert (_bytes_read() - before) / asked < 40_000
    stores.release(())


def _bytes_read() -> int:
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["rchar"])


def test_rocksdb_writes_rows_and_offsets_together_or_not_at_all(tmp_path: Path):
    store = RocksStores(tmp_path).open(0)
    with pytest.raises(TypeError):
        store.write({A: {b"k": b"v"}}, {A: "no number"})  # type: ignore[dict-item]  # breaks after the row was added
    assert store.get(A, b"k") is None
    assert store.offsets() == {}
    store.close()


LOADS_FOR_EVER = """
import itertools, sys
from pathlib import Path
from worker.engine.store import RocksStores
store = RocksStores(Path(sys.argv[1])).open(0)
for number in itertools.count():
    store.load({b"A": {b"%08d" % number: b"v" * 1000}}, {b"A": number + 1})
    if number == int(sys.argv[3]):
        store.flush()
    if number == int(sys.argv[2]):
        print("loaded", flush=True)
"""


def killed_while_loading(folder: Path, loads: int, flushed_at: int) -> Store:
    """What is left after a process loaded so many rows at least, and flushed once after that row."""
    command = [sys.executable, "-c", LOADS_FOR_EVER, str(folder), str(loads), str(flushed_at)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as loading:
        assert loading.stdout is not None
        assert loading.stdout.readline() == b"loaded\n"
        loading.kill()
    return RocksStores(folder).open(0)


@pytest.mark.parametrize("loads", [60, 30_000])
def test_a_process_that_dies_while_it_loads_leaves_the_first_rows_and_their_offset(
    tmp_path: Path, loads: int
):
    store = killed_while_loading(tmp_path, loads, flushed_at=50)
    end = store.offsets()[A]
    assert [int(key) for key, _ in store.scan(A)] == list(range(end))
    assert end >= 51  # what was flushed
    store.close()


def test_control_what_was_loaded_and_not_flushed_may_be_gone(tmp_path: Path):
    store = killed_while_loading(tmp_path, 60, flushed_at=-1)
    assert store.offsets() == {}
    store.close()


def test_one_process_at_a_time_has_a_rocksdb_store(tmp_path: Path):
    store = RocksStores(tmp_path).open(0)
    with pytest.raises(Exception, match="lock"):
        RocksStores(tmp_path).open(0)
    store.close()


def test_a_store_that_was_away_longer_than_deletions_are_kept_is_rebuilt(tmp_path: Path):
    stores = RocksStores(tmp_path, max_age_s=3_600)
    for partition in (0, 1):
        stores.open(partition).write({A: {b"k": b"v"}}, {A: 7})
    stores.release(())
    long_ago = time.time() - 7_200
    for file in (tmp_path / "00000").iterdir():
        os.utime(file, (long_ago, long_ago))
    assert stores.open(0).offsets() == {}
    assert stores.open(1).offsets() == {A: 7}
    stores.release(())


def test_a_unit_sees_its_own_changes_and_the_store_does_not(stores: Stores):
    table, store = Table("table", A), stores.open(0)
    store.write({A: {b"a1": b"old", b"a2": b"old", b"b": b"old"}}, {})
    unit = Unit(0, store)
    unit.put(table, b"a1", b"new")
    unit.put(table, b"a2", None)
    unit.put(table, b"a3", b"new")
    assert (unit.get(table, b"a1"), unit.get(table, b"a2"), unit.get(table, b"b")) == (b"new", None, b"old")
    assert sorted(unit.scan(table, b"a")) == [(b"a1", b"new"), (b"a3", b"new")]
    assert store.get(A, b"a1") == b"old"


def test_a_unit_sees_its_own_rows_of_an_index_between_the_stores(stores: Stores):
    index = Table("index", B)
    table, store = (
        Table("table", A, (index,), lambda key, value: [(index, value, key)] if value else []),
        stores.open(0),
    )
    unit = Unit(0, store)
    for number in (1, 3, 5):
        unit.put(table, b"k%d" % number, b"x\0%d" % number)
        unit.put_derived(index, b"x\0%d" % number, b"k%d" % number)
    store.write(unit.rows_to_write(), with_indexes({A: 3}, (table,)))
    assert store.offsets() == {A: 3, B: 3}
    unit = Unit(0, store)
    assert list(unit.before(index, b"x\0", b"x\0005")) == [(b"x\0003", b"k3"), (b"x\0001", b"k1")]
    for key, value in (b"x\0002", b"k2"), (b"x\0003", b"k3"), (b"y\0006", b"k6"):
        unit.put_derived(index, key, value)
    assert [key for key, _ in unit.before(index, b"x\0", b"x\0\xff")] == [
        b"x\0005",
        b"x\0003",
        b"x\0002",
        b"x\0001",
    ]
    assert not unit.changes
