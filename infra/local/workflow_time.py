"""Time of the state machine interpreter: Waits, retry intervals, callbacks and time stamps on the cloud's clock.

Only waiting is driven. What a state's own timeout measures is work in real processes, which a driven clock cannot
hurry: those timeouts count real seconds. The time limit of a whole execution counts real seconds and the Waits that
were skipped.
Source: https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from moto.stepfunctions import models as table
from moto.stepfunctions.parser import models as backend
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state import state as state_module
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.timestamp import Timestamp
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.callback import callback
from moto.stepfunctions.parser.asl.eval.event import event_manager
from moto.stepfunctions.parser.backend import execution as execution_module
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.utils import TMP_THREADS

from infra.local.clock import Clock
from infra.local.patches import Patches

GLANCE = 0.1  # seconds between two looks at a clock that may be driven


class AwsTime(dt.datetime):
    """A time that writes itself as Step Functions does: milliseconds and Z."""

    def isoformat(self, *_args: Any, **_kwargs: Any) -> str:
        """For example 2019-03-26T20:14:13.192Z."""
        return self.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.microsecond // 1000:03d}Z"


class Timekeeper:
    """Puts the interpreter on a clock."""

    def __init__(self, clock: Clock, stopping: threading.Event) -> None:
        self._clock = clock
        self._stopping = stopping
        # seconds by which Waits were shortened, by execution ARN
        self._skipped: dict[str, float] = {}
        # when executions with a time limit are over, as readings of `time.monotonic`
        self._limits: dict[str, float] = {}

    def apply(self, patches: Patches) -> None:
        """Replace what reads the machine's clock or sleeps."""
        module = SimpleNamespace(
            datetime=SimpleNamespace(now=self.now, datetime=AwsTime), timezone=dt.timezone, timedelta=dt.timedelta
        )
        for owner in (state_module, event_manager, execution_module, backend):
            patches.replace(owner, "datetime", module)
        patches.replace(table, "utcnow", lambda: self.now().replace(tzinfo=None))
        patches.replace(WaitFunction, "_wait_interval", lambda _self, env, wait_seconds: self.wait(env, wait_seconds))
        patches.replace(Timestamp, "_get_wait_seconds", _method(self.until))
        patches.replace(retrier_decl, "time", SimpleNamespace(sleep=self.sleep))
        patches.replace(callback, "Event", lambda: ClockEvent(self._clock))
        patches.replace(Program, "eval", _method(self.execute))
        patches.replace(ExecutionWorker, "_get_evaluation_environment", self._stamped(ExecutionWorker))

    def now(self, tz: Any = None) -> AwsTime:
        """The present, as the interpreter asks for it."""
        present = self._clock.now()
        return AwsTime.fromtimestamp(present.timestamp(), tz or dt.UTC)

    def sleep(self, seconds: float) -> None:
        """A retry's interval."""
        self._clock.wait_until(self._clock.time() + seconds, self._stopping)

    def wait(self, env: Any, seconds: float) -> None:
        """A Wait state; ends early when its execution does."""
        begun, really = self._clock.time(), time.monotonic()
        while env.is_running() and (left := begun + seconds - self._clock.time()) > 0:
            env.program_state_event.wait(min(left, GLANCE))
        skipped = min(seconds, self._clock.time() - begun) - (time.monotonic() - really)
        execution = env.states.context_object.context_object_data["Execution"]["Id"]
        self._skipped[execution] = self._skipped.get(execution, 0.0) + max(0.0, skipped)
        while self._overdue(execution) and env.is_running():
            env.program_state_event.wait(GLANCE)

    def until(self, function: Timestamp, env: Any) -> float:
        """Seconds until the time that a Wait names (RFC 3339 with an upper-case T and a zone)."""
        function.string.eval(env=env)
        text = env.stack.pop()
        try:
            moment = dt.datetime.fromisoformat(text)
        except (TypeError, ValueError):
            moment = None
        if moment is None or moment.tzinfo is None or "T" not in text:
            from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException

            raise FailureEventException(function._create_failure_event(env, text))
        return moment.timestamp() - self._clock.time()

    def execute(self, program: Program, env: Any) -> None:
        """Run a program to its end or to its time limit."""
        limit = program.timeout_seconds.timeout_seconds if program.timeout_seconds else None
        env.next_state_name = program.start_at.start_at_name
        worker = threading.Thread(target=EvalComponent.eval, args=(program, env), daemon=True)
        TMP_THREADS.append(worker)
        execution = env.states.context_object.context_object_data["Execution"]["Id"]
        if limit is not None:
            self._limits[execution] = time.monotonic() + limit
        worker.start()
        while worker.is_alive() and not self._overdue(execution):
            worker.join(None if limit is None else GLANCE)
        if worker.is_alive():
            env.set_timed_out()
            interrupt(env)
        if not env.is_frame():
            self._skipped.pop(execution, None)
            self._limits.pop(execution, None)

    def _overdue(self, execution: str) -> bool:
        return time.monotonic() + self._skipped.get(execution, 0.0) >= self._limits.get(execution, float("inf"))

    @staticmethod
    def _stamped(owner: type[ExecutionWorker]) -> Any:
        original = owner._get_evaluation_environment

        def stamped(worker: ExecutionWorker) -> Any:
            env = original(worker)
            context = env.states.context_object.context_object_data["Execution"]
            if isinstance(context["StartTime"], dt.datetime):
                context["StartTime"] = AwsTime.fromtimestamp(context["StartTime"].timestamp(), dt.UTC).isoformat()
            return env

        return stamped


class ClockEvent(threading.Event):
    """An event whose timed waits follow a clock that may be driven."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the event, at most `timeout` seconds of the clock."""
        if timeout is None:
            return super().wait()
        deadline = self._clock.time() + timeout
        while (left := deadline - self._clock.time()) > 0:
            if super().wait(min(left, GLANCE)):
                return True
        return self.is_set()


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that a class will bind: a bound method as attribute of a class would not get the instance."""

    def method(own: Any, *args: Any, **kwargs: Any) -> Any:
        return function(own, *args, **kwargs)

    return method


def interrupt(env: Any) -> None:
    """Wake whatever waits for a task token of this execution."""
    for endpoint in list(env.callback_pool_manager._pool.values()):
        endpoint.interrupt_all()
