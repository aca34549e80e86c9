"""Ways in which a message reaches a stage: once, more than once, late, two at once, or to a process that dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Protocol

from perennial.catalog.load import load_catalog
from perennial.errors import PerennialError
from perennial.scoring.part import open_predictor
from tests.crash import Crash, Death
from tests.crash.calls import When, heard_by

Handler = Callable[[Any], Any]
# how long a thread waits for its turn before the test gives up
PATIENCE_S = 60.0


def new_process() -> None:
    """Forget what a process keeps from one message to the next."""
    load_catalog.cache_clear()
    open_predictor.cache_clear()


class Deliver(Protocol):
    """Deliver a message to a handler; the answer of the delivery that counts."""

    def __call__(self, handler: Handler, message: Any) -> Any: ...


def plain(handler: Handler, message: Any) -> Any:
    """Once, and that is all."""
    return handler(message)


class Once:
    """As it should be; `calls` are the AWS calls that were made."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, handler: Handler, message: Any) -> Any:
        def count(when: When, operation: str) -> None:
            if when == "before-send":
                self.calls.append(operation)

        with heard_by(count):
            return handler(message)


class Crashing:
    """The process dies at a call, counted over all deliveries (of the second point: since the first death).

    Whoever sent the message sends it again: a workflow's retry, EventBridge, Lambda's own queue.
    """

    def __init__(self, *points: tuple[int, When]) -> None:
        self._deaths = [Death(number, when) for number, when in points]

    @property
    def unhappened(self) -> int:
        """Deaths that are still to come."""
        return len(self._deaths)

    def __call__(self, handler: Handler, message: Any) -> Any:
        while self._deaths:
            with suppress(Crash), heard_by(self._deaths[0]):
                return handler(message)
            self._deaths.pop(0)
            new_process()
        return handler(message)


class Repeating:
    """Every message comes `times` times; each delivery gets the same answer."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, handler: Handler, message: Any) -> Any:
        answers = [_answer(handler, message) for _ in range(self.times)]
        assert all(same(answer, answers[0]) for answer in answers), answers
        return _given(answers[0])


class Late:
    """Messages come again after others; what they are answered then interests nobody.

    An event (what reaches one of `hears`) may come again whenever it likes. A workflow's call may only be overtaken by
    the next one: of an invocation whose answer was lost, or that was given up.
    """

    def __init__(self, seed: int, hears: Sequence[Handler], again: int = 3) -> None:
        self._random, self._hears, self._again = Random(seed), hears, again
        self._events: list[tuple[Handler, Any]] = []
        self._call: tuple[Handler, Any] | None = None

    def __call__(self, handler: Handler, message: Any) -> Any:
        answer = _answer(handler, message)
        late = self._random.sample(self._events, min(self._again, len(self._events)))
        late += [self._call] if self._call else []
        for former, old in late:
            _answer(former, old)
        if handler in self._hears:
            self._events.append((handler, message))
            self._call = None
        else:
            self._call = handler, message
        return _given(answer)


class AtOnce:
    """Two deliveries of every message run at once, interleaved at their AWS calls as `seed` draws it."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def __call__(self, handler: Handler, message: Any) -> Any:
        answers = at_once([lambda: _answer(handler, message)] * 2, self._random)
        return _given(answers[0])


def at_once(jobs: Sequence[Callable[[], Any]], random: Random) -> list[Any]:
    """Run jobs in threads of which one runs at a time; at each AWS call `random` draws who goes on."""
    turns = _Turns(len(jobs), random)
    answers: list[Any] = [None] * len(jobs)

    def run(number: int) -> None:
        turns.enter(number)
        try:
            answers[number] = jobs[number]()
        finally:
            turns.leave(number)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(jobs))]
    with heard_by(turns):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    return answers


class _Turns:
    """Which of several threads may go on."""

    def __init__(self, count: int, random: Random) -> None:
        self._random = random
        self._waiting = threading.Condition()
        self._alive = list(range(count))
        self._next = self._random.choice(self._alive)
        self._numbers: dict[int, int] = {}

    def __call__(self, when: When, operation: str) -> None:
        number = self._numbers.get(threading.get_ident())
        if when == "before-send" and number is not None:
            with self._waiting:
                self._draw()
                self._wait(number)

    def enter(self, number: int) -> None:
        with self._waiting:
            self._numbers[threading.get_ident()] = number
            self._wait(number)

    def leave(self, number: int) -> None:
        with self._waiting:
            self._alive.remove(number)
            if self._alive:
                self._draw()

    def _draw(self) -> None:
        self._next = self._random.choice(self._alive)
        self._waiting.notify_all()

    def _wait(self, number: int) -> None:
        assert self._waiting.wait_for(lambda: self._next == number, PATIENCE_S), "nobody made way"


def same(one: Any, other: Any) -> bool:
    """Whether two answers say the same.

    But for words that are for the log: `duplicate` says that the batch was accepted before; `started` and `deleted`,
    which flights and Lambda versions it was this very delivery that started and deleted.
    """
    return bool(_meaning(one) == _meaning(other))


def _meaning(answer: Any) -> Any:
    if isinstance(answer, PerennialError):
        return type(answer), str(answer)
    if isinstance(answer, list):
        return [_meaning(one) for one in answer]
    if not isinstance(answer, dict):
        return answer
    status = {"status": "accepted"} if answer.get("status") == "duplicate" else {}
    return {name: value for name, value in answer.items() if name not in ("started", "deleted")} | status


def _answer(handler: Handler, message: Any) -> Any:
    try:
        return handler(message)
    except PerennialError as error:
        return error


def _given(answer: Any) -> Any:
    if isinstance(answer, PerennialError):
        raise answer
    return answer
