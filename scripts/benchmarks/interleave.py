"""Contenders in processes of their own, asked in turn, so that what disturbs the machine disturbs all alike."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from scripts.cli.local import ROOT
from scripts.cli.output import Failure

CONTENDERS = "scripts.benchmarks.contenders"
LIBRARY = ROOT / "layers" / "core" / "python"


@dataclass(frozen=True)
class Effort:
    """Rounds per comparison, and CPU seconds that a contender works in each (at least one call)."""

    rounds: int = 21
    turn: float = 0.06


@dataclass(frozen=True)
class Command:
    """How a contender is started: interpreter, arguments, and variables beside the plain ones."""

    python: Path
    arguments: Sequence[str]
    variables: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """Nothing of the caller's settings but what finds programs: bytecode is cached, telemetry is off, and all work
        on one thread, as a function of this size has one core (spinning threads would count against the peers).
        """
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        quiet = {"ORT_DISABLE_TELEMETRY": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return kept | quiet | single | dict(self.variables)


class Worker(Protocol):
    """Whoever can be asked to work."""

    def work(self, case: str, times: int) -> float:
        """CPU seconds that `times` calls took."""
        ...


class Contender:
    """A started contender. `versions` are those of the packages it measures."""

    def __init__(self, process: subprocess.Popen[str], name: str, log: Path) -> None:
        self._process, self._name, self._log = process, name, log
        self.versions: dict[str, str] = json.loads(self._line())

    def work(self, case: str, times: int) -> float:
        """CPU seconds that `times` calls took."""
        if self._process.stdin is None:
            raise AssertionError("started without a pipe")
        self._process.stdin.write(f"{case} {times}\n")
        self._process.stdin.flush()
        return int(self._line()) / 1e9

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise Failure(f"contender {self._name} ended: {self._log.read_text()[-1000:]}")
        return line


@contextmanager
def contenders(commands: Mapping[str, Command]) -> Iterator[dict[str, Contender]]:
    """All of them, started one after the other and ended together. Raises Failure with a contender's last words."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        yield {name: stack.enter_context(_started(name, command, folder)) for name, command in commands.items()}


@contextmanager
def _started(name: str, command: Command, folder: Path) -> Iterator[Contender]:
    log = folder / f"{len(list(folder.iterdir()))}.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [str(command.python), *command.arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            cwd=folder, env=command.environment(),
        )  # fmt: skip
    try:
        yield Contender(process, name, log)
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def interleaved(taking_part: Mapping[str, Worker], case: str, effort: Effort) -> dict[str, list[float]]:
    """CPU seconds a call, by contender and round."""
    calls = {name: _calls(contender, case, effort) for name, contender in taking_part.items()}
    taken: dict[str, list[float]] = {name: [] for name in taking_part}
    for number in range(effort.rounds):
        for name in there_and_back(taking_part, number):
            taken[name].append(taking_part[name].work(case, calls[name]) / calls[name])
    return taken


def there_and_back(names: Iterable[str], number: int) -> list[str]:
    """The names in their order, in every other round the other way about."""
    return list(names)[:: 1 if number % 2 else -1]


def _calls(contender: Worker, case: str, effort: Effort) -> int:
    """How many calls fill a turn, found after a warm-up."""
    calls = 1
    while (took := contender.work(case, calls)) < effort.turn / 4 and calls < 1_000_000:
        calls *= 4
    return max(1, round(effort.turn / (took / calls)))


def cold(commands: Mapping[str, Command], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of whole processes, from start to exit, by contender and round; the first round is a warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name in there_and_back(commands, number):
            seconds = whole(name, commands[name])
            if number:
                taken[name].append(seconds)
    return taken


def whole(name: str, command: Command) -> float:
    """CPU seconds of a process from start to exit. Raises Failure with its last words."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [str(command.python), *command.arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=command.environment(),
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise Failure(f"{name} ended with {process.returncode}: {errors.read().decode(errors='replace')[-1000:]}")
    return usage.ru_utime + usage.ru_stime


def once(command: Command) -> str:
    """What a command prints when it is run to its end. Raises Failure with its last words."""
    done = subprocess.run(
        [str(command.python), *command.arguments],
        env=command.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failure(f"{' '.join(command.arguments[:2])}: {done.stderr.strip()[-1000:]}")
    return done.stdout.strip()


def own(python: Path, module: str, *arguments: str, **variables: str) -> Command:
    """A contender module of the project, with the library as its layer has it."""
    path = f"{ROOT}:{ROOT / 'functions'}:{LIBRARY}"
    return Command(python, ["-m", f"{CONTENDERS}.{module}", *arguments], {"PYTHONPATH": path, **variables})


def peer(python: Path, module: str, *arguments: str, **variables: str) -> Command:
    """A contender module in a peer's environment, without the library."""
    return Command(python, ["-m", f"{CONTENDERS}.{module}", *arguments], {"PYTHONPATH": str(ROOT), **variables})
