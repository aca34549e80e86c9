"""CSV, plain or gzipped: RFC 4180, UTF-8, comma, a header; every value arrives as text."""

from __future__ import annotations

import codecs
import csv
import io
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc

from perennial.catalog.contract import Contract
from perennial.datasets.refusal import Refusal
from perennial.datasets.source import MAX_STRAY_ROWS, Limits, RawBatch, Source, check_columns

# Also the longest line. Larger blocks save no time (measured: 4 and 16 MiB are alike), smaller ones do not save memory.
BLOCK = 4 * 1024 * 1024
_HEAD = 256 * 1024
# Only a disk that hangs takes so long for one block
_LONGEST_READ_S = 5
_BOM = codecs.BOM_UTF8


class Watched(io.RawIOBase):
    """A stream that counts what passes: bytes (a zip bomb ends here), line ends, quotes.

    What goes wrong ends the stream, and `check` tells it: an exception raised in a thread of Arrow's would be let go of
    there, which ends the process when that happens while Python shuts down.
    """

    def __init__(self, inner: Any, limit: int) -> None:
        self._inner = inner
        self._limit = limit
        self._refusal: Refusal | None = None
        self._ended = False
        self._returned = threading.Event()
        self._returned.set()
        self.bytes = self.lines = self.quotes = 0
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none any more once more than the limit have passed, or the gzip stream is broken."""
        if self._ended or self._refusal:
            return b""
        try:
            block: bytes = self._inner.read(size)
        except (OSError, pa.ArrowInvalid) as error:
            self._refusal = broken(error)
            return b""
        if block:
            self.bytes += len(block)
            self.lines += block.count(b"\n")
            self.quotes += block.count(b'"')
            self.last = block[-1:]
        if self.bytes > self._limit:
            self._refusal = Refusal("tooLarge", f"more than {self._limit:,} bytes when decompressed")
            return b""
        return block

    def check(self) -> None:
        """Raises Refusal for what ended the stream before its end."""
        if self._refusal:
            raise self._refusal

    def lend(self) -> io.RawIOBase:
        """This stream for a reader that reads ahead in threads of its own; `close` waits until it is let go of."""
        lent = _Lent(self)
        self._returned.clear()
        weakref.finalize(lent, self._returned.set).atexit = False
        return lent

    def close(self) -> None:
        """Close the file, once nobody reads it: closing it under a thread that reads it is a segmentation fault."""
        self._ended = True
        if not self.closed and self._returned.wait(_LONGEST_READ_S):
            self._inner.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """For readers of Python's own."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def readable(self) -> bool:
        """It can be read."""
        return True


class _Lent(io.RawIOBase):
    """What Arrow holds of a Watched, and nobody else: when it goes, Arrow has ended reading."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def read(self, size: int = -1) -> bytes:
        return self._watched.read(size)

    def readable(self) -> bool:
        return True


def open_bytes(path: Path) -> Any:
    """The decompressed bytes of a file, as a stream. gzip is checked to its last byte (OSError)."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") if zipped else path.open("rb")


def broken(error: Exception) -> Refusal:
    """The refusal for what a stream raised."""
    text = str(error)
    if isinstance(error, OSError):
        rule = "truncated" if "runcated" in text else "unreadable"
        return Refusal(rule, f"the gzip stream is broken: {text}")
    if "UTF8" in text or "utf-8" in text:
        return Refusal("encoding", f"the file is not UTF-8: {text}")
    if "straddling" in text:
        return Refusal("unreadable", f"a line is longer than {BLOCK:,} bytes, or a quote is never closed")
    return Refusal("unreadable", f"the file cannot be read as CSV: {text[:500]}")


def open_csv(path: Path, contract: Contract, limits: Limits) -> Source:
    """The rows of a CSV file. Raises Refusal for its header; the batches raise it for the rest."""
    header = read_header(path)
    check_columns(header, contract)
    source = Source(batches=iter(()))
    source.batches = _batches(path, contract, limits, source, header)
    return source


def read_header(path: Path) -> list[str]:
    """The names in the first line. Raises Refusal."""
    stream = open_bytes(path)
    try:
        head: bytes = stream.read(_HEAD)
        whole = len(head) < _HEAD
        text = codecs.getincrementaldecoder("utf-8")().decode(head.removeprefix(_BOM), final=whole)
        rows = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""))
        header = next(rows, [])
        complete = whole or rows.line_num < text.count("\n")
    except OSError as error:
        raise broken(error) from error
    except UnicodeDecodeError as error:
        raise Refusal("encoding", f"the file is not UTF-8: {error}") from error
    except csv.Error as error:
        raise Refusal("unreadable", f"the header cannot be read: {error}") from error
    finally:
        stream.close()
    if "\0" in "".join(header):
        raise Refusal("kind", "the file holds binary data, not CSV")
    if not header or not any(header):
        raise Refusal("empty", "the file has no header")
    if not complete:
        raise Refusal("unreadable", f"the header is longer than {_HEAD:,} bytes")
    return header


def _batches(path: Path, contract: Contract, limits: Limits, source: Source, header: list[str]) -> Iterator[RawBatch]:
    watched = Watched(open_bytes(path), limits.text_bytes)
    skipped: list[int] = []

    def stray(row: Any) -> str:
        # Arrow counts rows, blank lines aside, and the header is its first
        skipped.append(row.number - 1)
        source.stray(row.number - 1, "fields", row.text)
        # an exception would be lost in Arrow's thread: "error" ends the reading
        return "skip" if len(source.strays) <= MAX_STRAY_ROWS else "error"

    done = 0
    try:
        for batch in _reader(watched, contract, stray, len(header)):
            watched.check()
            numbers = _numbers(done, batch.num_rows, skipped)
            if batch.num_rows:
                done = int(numbers[-1])
            if done > limits.rows:
                raise Refusal("tooLarge", f"more than {limits.rows:,} rows")
            yield RawBatch(batch.columns, numbers)
        watched.check()
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        watched.check()
        source.check_strays()
        raise broken(error) from error
    finally:
        watched.close()
    _finish(path, watched, source, header, max([done, *skipped[-1:]]))


def _reader(watched: Watched, contract: Contract, stray: Any, width: int) -> Any:
    names = [column.name for column in contract.columns]
    return pc.open_csv(
        # in no variable: the traceback of an error would hold it
        watched.lend(),
        # one thread: rows keep their numbers, and Lambda has one vCPU
        read_options=pc.ReadOptions(use_threads=False, block_size=BLOCK),
        parse_options=pc.ParseOptions(
            newlines_in_values=True,
            invalid_row_handler=stray,
            # in a file of one column, an empty line is an empty value
            ignore_empty_lines=width > 1,
        ),
        convert_options=pc.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=names,
            null_values=list(contract.missing),
            strings_can_be_null=True,
        ),
    )


def _numbers(done: int, count: int, skipped: list[int]) -> npt.NDArray[np.int64]:
    """Numbers of the next `count` rows after row `done`, leaving out those that were skipped."""
    ahead = [row for row in skipped if row > done]
    numbers = np.arange(done + 1, done + 1 + count + len(ahead), dtype=np.int64)
    return np.setdiff1d(numbers, ahead, assume_unique=True)[:count] if ahead else numbers


def _finish(path: Path, watched: Watched, source: Source, header: list[str], rows: int) -> None:
    """What only the end of the file can tell."""
    if watched.quotes % 2:
        _check_quotes(path)
    terminated = watched.last in {b"\n", b"\r"}
    if not terminated:
        if source.strays and source.strays[-1].row == rows:
            raise Refusal("truncated", f"the file ends within row {rows}: {source.strays[-1].text[:100]!r}")
        source.unterminated_column = header[-1]
    if not watched.quotes and watched.lines + (not terminated) == rows + 1:
        source.line_of_first = 2


def _check_quotes(path: Path) -> None:
    """Arrow takes a quote that is never closed as closed at the end of the file, and all rows after it as one value.

    An odd number of quotes may also be inch marks inside plain values, which are fine: so this slower look (Python's
    strict reader) is taken only then.
    """
    # a value may be as long as a line; a quote that is never closed soon makes a longer one
    usual = csv.field_size_limit(BLOCK)
    stream = io.TextIOWrapper(io.BufferedReader(Watched(open_bytes(path), 2**62)), "utf-8-sig", newline="")
    with stream:
        rows = csv.reader(stream, strict=True)
        try:
            for _ in rows:
                pass
        except csv.Error as error:
            raise Refusal("unreadable", f"a quote is never closed, near line {rows.line_num}: {error}") from error
        finally:
            csv.field_size_limit(usual)
