"""The compressed records of a batch as a file. Its reader takes it piece by piece, and decides how much to take.

aiokafka decompresses whole batches, whatever size they unpack to: 10 KB may hold 300 MiB, and 8 MiB may fill the memory.
"""

import io
import struct
import zlib
from typing import IO, Any

import cramjam
import lz4.frame
import zstandard

NONE, _GZIP, _SNAPPY, _LZ4, _ZSTD = range(5)

_WINDOW_BYTES = 1 << 27
"""The largest window of a zstd frame; Kafka's own clients accept as much."""

_GZIP_HEADER = 31  # zlib's wbits: the largest window, inside a gzip header and checksum
_FED_BYTES = 1 << 14

_XERIAL = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES = 16
_LARGEST_SNAPPY_BLOCK = 1 << 27
_SNAPPY_RATIO = 64
"""How many times its size a block can unpack to, at most."""


class Unreadable(Exception):
    """A batch does not hold records, or is not compressed as its header says."""


class Unpacked:
    """The uncompressed bytes of a batch.

    Args:
        codec: the batch's compression.
        records: the batch's bytes after its header.

    Raises:
        Unreadable: the compression is unknown.
    """

    def __init__(self, codec: int, records: memoryview) -> None:
        self._file = _opened(codec, records)

    def read(self, size: int) -> bytes:
        """The next bytes, `size` at most, and fewer only at the end.

        Raises:
            Unreadable: the compressed bytes are broken.
        """
        try:
            return bytes(self._file.read(size))
        except (OSError, EOFError, ValueError, RuntimeError, zlib.error, struct.error) as error:
            raise Unreadable("its compressed bytes are broken") from error
        except (zstandard.ZstdError, cramjam.DecompressionError) as error:
            raise Unreadable("its compressed bytes are broken") from error


def _opened(codec: int, records: memoryview) -> Any:
    compressed: IO[bytes] = io.BytesIO(records)
    if codec == NONE:
        return compressed
    if codec == _GZIP:
        return _Gzip(records)
    if codec == _SNAPPY:
        return _Snappy(records)
    if codec == _LZ4:
        return lz4.frame.LZ4FrameFile(compressed)
    if codec == _ZSTD:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        return decompressor.stream_reader(compressed, read_across_frames=True)
    raise Unreadable(f"its compression {codec} is unknown")


class _Gzip:
    """Gzip members, one after the other. The standard library's reader takes twice as long."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0
        self._member = zlib.decompressobj(_GZIP_HEADER)
        self._fed = b""

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            if not self._fed:
                self._fed = bytes(self._data[self._at : self._at + _FED_BYTES])
                self._at += len(self._fed)
                if not self._fed:
                    break
            parts.append(self._member.decompress(self._fed, size))
            size -= len(parts[-1])
            self._fed = self._member.unconsumed_tail
            if self._member.eof:
                self._fed = self._member.unused_data
                self._member = zlib.decompressobj(_GZIP_HEADER)
        return b"".join(parts)


class _Snappy:
    """Snappy in the xerial library's blocks, or as one block. A block gives its size before it is decompressed."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._framed = bytes(data[: len(_XERIAL)]) == _XERIAL
        self._at = _XERIAL_HEADER_BYTES if self._framed else 0
        self._left = memoryview(b"")

    def read(self, size: int) -> bytes:
        parts: list[memoryview] = []
        while size > 0:
            if not self._left:
                if self._at >= len(self._data):
                    break
                self._left = memoryview(self._next_block())
            parts.append(self._left[:size])
            self._left = self._left[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def _next_block(self) -> bytes:
        size = len(self._data)
        if self._framed:
            (size,) = struct.unpack_from(">i", self._data, self._at)
            self._at += 4
        block = bytes(self._data[self._at : self._at + size])
        if size < 0 or (self._framed and len(block) != size):
            raise ValueError("a block of snappy is cut short")
        self._at += len(block)
        unpacked = cramjam.snappy.decompress_raw_len(block)
        if unpacked > min(_LARGEST_SNAPPY_BLOCK, _SNAPPY_RATIO * len(block)):
            raise ValueError("a block of snappy is larger than it can be")
        return bytes(cramjam.snappy.decompress_raw(block))
