"""Reads what processes write: lines of stdout and stderr, and the frames of awslambdaric's own logging."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable

Sink = Callable[[str], None]
# type, length and time before each message on the telemetry descriptor (awslambdaric's FramedTelemetryLogSink)
FRAME_HEAD = 16
LONGEST_LINE = 1 << 20


class Pipe:
    """The reading end of one pipe, cut into messages, each with the line end that it was written with."""

    def __init__(self, sink: Sink, framed: bool = False) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._sink = sink
        self._cut = self._frames if framed else self._lines
        self._rest = b""
        self._lock = threading.Lock()
        self._closed = False
        # the other side has closed: nothing will follow
        self.ended = False

    def written(self) -> None:
        """Close the writing end in this process (the child has its own)."""
        os.close(self.writer)

    def drain(self) -> None:
        """Pass on all that has been written so far."""
        with self._lock, contextlib.suppress(BlockingIOError):
            while not (self.ended or self._closed):
                chunk = os.read(self.reader, 1 << 16)
                self.ended = not chunk
                self._rest = self._cut(self._rest + chunk)

    def close(self) -> None:
        """Read what is left and close."""
        self.drain()
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self.reader)
                if self._rest and self._cut == self._lines:
                    self._sink(self._rest.decode("utf-8", "replace"))

    def _lines(self, data: bytes) -> bytes:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._sink((line + b"\n").decode("utf-8", "replace"))
        while len(rest) > LONGEST_LINE:
            self._sink(rest[:LONGEST_LINE].decode("utf-8", "replace"))
            rest = rest[LONGEST_LINE:]
        return rest

    def _frames(self, data: bytes) -> bytes:
        while len(data) >= FRAME_HEAD:
            length = int.from_bytes(data[4:8], "big")
            if len(data) < FRAME_HEAD + length:
                break
            self._sink(data[FRAME_HEAD : FRAME_HEAD + length].decode("utf-8", "replace"))
            data = data[FRAME_HEAD + length :]
        return data


class Pump:
    """One thread that drains every registered pipe as soon as something is in it."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="log-pump", daemon=True)
        self._thread.start()

    def add(self, pipe: Pipe) -> None:
        """Drain this pipe from now on."""
        with self._lock:
            self._selector.register(pipe.reader, selectors.EVENT_READ, pipe)
        self._wake()

    def remove(self, pipe: Pipe) -> None:
        """Drain it one last time and close it."""
        with self._lock:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(pipe.reader)
            pipe.close()

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout=2)
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _wake(self) -> None:
        os.write(self._wake_writer, b".")

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_reader, 4096)
                else:
                    self._drain(key.data)

    def _drain(self, pipe: Pipe) -> None:
        with self._lock:
            pipe.drain()
            if pipe.ended:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(pipe.reader)
