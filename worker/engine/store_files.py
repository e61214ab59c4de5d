"""The damage in a store's files that RocksDB does not report when it opens them.

- If the end of the manifest is lost, RocksDB forgets the last table files that it named. It deletes them, and goes on with
  the later writes of its write-ahead log.
- A record of the manifest or of a write-ahead log may have the type of a recycled file. RocksDB then reads it again and
  again, and holds Python's GIL, so that no watchdog can end the process. One flipped bit makes such a type.

RocksDB writes both kinds of file in blocks. A record does not cross a block, and begins with checksum, length and type.
"""

import struct
from pathlib import Path

import rocksdict

_NO_LOGS = Path(__file__).parent  # an existing folder without write-ahead logs
_FIRST_SEQUENCE = slice(7, 15)  # where a write-ahead log has its first sequence number, little-endian
_BLOCK_BYTES = 32_768
_RECORD = struct.Struct("<IHB")  # checksum, length of the content, type
_KEPT_TYPES = range(5)  # 0: the rest of the block is empty; 1 to 4: whole, first, middle, last


def damage(folder: Path) -> str | None:
    """What is wrong with the files of a store; None if RocksDB can open them and reports the rest itself."""
    if not (folder / "CURRENT").exists():
        return "there is no CURRENT"
    for file in (*folder.glob("MANIFEST-*"), *folder.glob("*.log")):
        if _has_unknown_record(file):
            return f"{file.name} has a record of a type that is never written"
    return _missing_writes(folder)


def _has_unknown_record(file: Path) -> bool:
    with file.open("rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            at = 0
            while at + _RECORD.size <= len(block):
                _, length, kind = _RECORD.unpack_from(block, at)
                if kind not in _KEPT_TYPES:
                    return True
                at += _RECORD.size + length
    return False


def _missing_writes(folder: Path) -> str | None:
    """Which writes are missing between the table files and the write-ahead logs; None if none are."""
    logs = [_head(file)[_FIRST_SEQUENCE] for file in sorted(folder.glob("*.log"))]
    firsts = [int.from_bytes(first, "little") for first in logs if len(first) == 8]
    if not firsts:
        return None
    options = rocksdict.Options(raw_mode=True)
    options.set_wal_dir(str(_NO_LOGS))
    try:
        tables = rocksdict.Rdict(
            str(folder), options, {"default": options}, rocksdict.AccessType.read_only(False)
        )
    except Exception:  # rocksdict raises nothing more precise, and the real opening raises it again
        return None
    last = tables.latest_sequence_number()
    tables.close()
    return None if min(firsts) <= last + 1 else f"writes {last + 1} to {min(firsts) - 1} are missing"


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_FIRST_SEQUENCE.stop)
