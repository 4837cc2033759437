"""Files as they are, or compressed with gzip or zstd: known by their first bytes, read in chunks.

However much a few bytes unpack to, no more than a chunk of it is in memory at once, beside the
window of the format: 32 KiB of gzip's, up to 128 MiB of zstd's.
"""

from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from connectors.lines import CHUNK
from streamlnn.errors import InputUnavailable

log = logging.getLogger("streamlnn.recordings")

MAGIC = 4
"""How many of a file's first bytes tell its compression."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def size_of(path: str) -> int | None:
    """Return the bytes after decompression; gzip tells them in its last four, zstd not at all."""
    try:
        with Path(path).open("rb") as stream:
            magic = stream.read(MAGIC)
            size = stream.seek(0, os.SEEK_END)
            if magic == _ZSTD:
                return None
            if not magic.startswith(_GZIP) or size < MAGIC:
                return size
            stream.seek(-MAGIC, os.SEEK_END)
            return int.from_bytes(stream.read(MAGIC), "little")
    except OSError:
        return None


@contextmanager
def unpacked(path: str, offset: int = 0) -> Iterator[BinaryIO]:
    """Open a file for `chunk`, `offset` bytes in after decompression. Raises `InputUnavailable`."""
    with open_plain(path) as plain:
        magic = plain.read(MAGIC)
        plain.seek(0)
        with _stream(path, plain, magic) as stream:
            _seek(path, stream, offset)
            yield stream


def open_plain(path: str) -> BinaryIO:
    """Open a file as it is. Raises `InputUnavailable`, also for a pipe."""
    try:
        plain = Path(path).open("rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise InputUnavailable(
            f"{path}: {error.strerror}: give the path of a recording that can be read"
        ) from None
    if plain.seekable():
        return plain
    plain.close()
    raise InputUnavailable(f"{path} is a pipe: save it to a file, or use the source stdin")


def chunk(path: str, stream: BinaryIO) -> bytes:
    """Return the next bytes, none at the end. Raises `InputUnavailable` for damaged data."""
    try:
        return cast(BufferedReader, stream).read1(CHUNK)
    except EOFError:
        log.warning("%s: its compressed data are cut off; what was before is used", path)
        return b""
    except Exception as error:
        if _is_damage(error):
            raise InputUnavailable(f"{path} {_why(error)}") from None
        raise


def _stream(path: str, plain: BinaryIO, magic: bytes) -> BinaryIO:
    if magic.startswith(_GZIP):
        return cast(BinaryIO, gzip.GzipFile(fileobj=plain))
    return _unzstd(path, plain) if magic == _ZSTD else plain


def _unzstd(path: str, plain: BinaryIO) -> BinaryIO:
    try:
        import zstandard
    except ModuleNotFoundError:
        return _unzstd_of_python(path, plain)
    reader = zstandard.ZstdDecompressor().stream_reader(plain, read_across_frames=True)
    return cast(BinaryIO, reader)


def _unzstd_of_python(path: str, plain: BinaryIO) -> BinaryIO:
    try:
        from compression import zstd  # Python 3.14 and later
    except ModuleNotFoundError:
        raise InputUnavailable(
            f"{path} is zstd-compressed: pip install 'streamlnn[zstd]', or decompress it"
        ) from None
    return cast(BinaryIO, zstd.ZstdFile(plain))


def _seek(path: str, stream: BinaryIO, offset: int) -> None:
    try:
        stream.seek(offset)
    except Exception as error:
        if isinstance(error, EOFError) or _is_damage(error):
            raise InputUnavailable(
                f"{path} ends before byte {offset}, where we were: {error}"
            ) from None
        raise


def _is_damage(error: Exception) -> bool:
    # zstd's has two homes, and neither may be there to import it from.
    return isinstance(error, zlib.error | OSError) or type(error).__name__ == "ZstdError"


def _why(error: Exception) -> str:
    if "too much memory" in str(error):
        return (
            "unpacks only with a window of more than 128 MiB: decompress it, with zstd -d "
            "--long=31, or write it without --long"
        )
    return f"is damaged: {error}; decompress it by hand to see how much of it is left"
