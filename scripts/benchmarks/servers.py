"""Peers that serve over HTTP: started on the loopback interface, asked over one kept connection, measured as a whole
tree of processes, and ended by process id."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scripts.benchmarks.contenders.loop import columns
from scripts.benchmarks.interleave import Command
from scripts.benchmarks.peers import versions
from scripts.cli.local import free_port
from scripts.cli.output import Failure

HOST = "127.0.0.1"
PATIENCE = 120.0
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Peer:
    """How a server is started, asked, and understood.

    `start` takes the interpreter of `environment`, the prepared folder, an empty one of its own and a port; `body`
    rows and the model's inputs; `probability` finds the last class's probability of the first row in a reply.
    """

    environment: str
    packages: tuple[str, ...]
    start: Callable[[Path, Path, Path, int], Command]
    path: str
    body: Callable[[Records, Sequence[Mapping[str, Any]]], Any]
    probability: Callable[[Any], float]


class Server:
    """A server that has been started. `versions` are those of the packages it serves with."""

    def __init__(
        self, peer: Peer, process: subprocess.Popen[bytes], port: int, log: Path, versions: dict[str, str]
    ) -> None:
        self._peer, self._process, self._log = peer, process, log
        self._root = psutil.Process(process.pid)
        self._connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        self._cases: dict[str, bytes] = {}
        self.versions = versions

    def prepare(self, cases: Mapping[str, Records], inputs: Sequence[Mapping[str, Any]]) -> None:
        """Make the bodies of the cases, once."""
        self._cases = {name: json.dumps(self._peer.body(rows, inputs)).encode() for name, rows in cases.items()}

    def first(self, case: str, probability: float) -> None:
        """Ask until the server answers. Raises Failure when it ends, takes too long, or answers something else."""
        deadline = time.monotonic() + PATIENCE
        while (reply := self._try(case)) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"no answer: {self._log.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        found = self._peer.probability(json.loads(reply))
        if abs(found - probability) > 1e-6:
            raise Failure(f"answered {found}, not {probability}")

    def work(self, case: str, times: int) -> float:
        """CPU seconds that the server's processes took for `times` requests."""
        self._connection.close()  # servers end a connection that was idle while others had their turn
        began = self.cpu()
        for _ in range(times):
            self._ask(case)
        return self.cpu() - began

    def cpu(self) -> float:
        """CPU seconds of its processes so far, those that have ended included; in ticks of some 10 ms."""
        return sum(sum(one.cpu_times()[:4]) for one in self._tree())

    def memory(self) -> float:
        """Proportional set size of its processes, MiB: what they share is counted once."""
        return sum(one.memory_full_info().pss for one in self._tree()) / 2**20

    def stop(self) -> None:
        """End its processes, each by its id."""
        self._connection.close()
        tree = self._tree() if self._process.poll() is None else []
        for one in tree:
            with suppress(psutil.NoSuchProcess):
                one.terminate()
        _, alive = psutil.wait_procs(tree, timeout=10)
        for one in alive:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def _try(self, case: str) -> bytes | None:
        try:
            return self._ask(case)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None

    def _ask(self, case: str) -> bytes:
        self._connection.request("POST", self._peer.path, self._cases[case], {"content-type": "application/json"})
        reply = self._connection.getresponse()
        content = reply.read()
        if reply.status != 200:
            if reply.status in {404, 503}:  # it listens, but has not loaded the model yet
                raise http.client.HTTPException(f"status {reply.status}")
            raise Failure(f"answered {reply.status}: {content[:500].decode(errors='replace')}")
        return content


@contextmanager
def serving(peer: Peer, python: Path, folder: Path, place: Path) -> Iterator[Server]:
    """A started server, ended with the context; it may not answer yet."""
    found = versions(python, peer.packages)
    place.mkdir(parents=True)
    port, log = free_port(), place / "server.log"
    command = peer.start(python, folder, place, port)
    # what its environment's commands start by name is looked for there first
    environment = command.environment()
    environment["PATH"] = f"{python.parent}{os.pathsep}{environment.get('PATH', '')}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(command.python), *command.arguments], cwd=place, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    server = Server(peer, process, port, log, found)
    try:
        yield server
    finally:
        server.stop()


def _mlflow(python: Path, folder: Path, place: Path, port: int) -> Command:
    model = str(folder / "mlflow-sklearn")
    where = ["--host", HOST, "--port", str(port), "--workers", "1", "--env-manager", "local"]
    return Command(python, ["-m", "mlflow", "models", "serve", "--model-uri", model, *where], {})


def _mlserver(python: Path, folder: Path, place: Path, port: int) -> Command:
    settings = {
        "host": HOST, "http_port": port, "grpc_port": free_port(), "metrics_endpoint": None, "parallel_workers": 0,
        "debug": False,
    }  # fmt: skip
    model = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "pipeline.joblib")},
    }
    (place / "settings.json").write_text(json.dumps(settings))
    (place / "model-settings.json").write_text(json.dumps(model))
    return Command(python, [str(python.parent / "mlserver"), "start", str(place)], {})


def _bento(service: str) -> Callable[[Path, Path, Path, int], Command]:
    module = Path(__file__).parent / "contenders" / "bento.py"

    def start(python: Path, folder: Path, place: Path, port: int) -> Command:
        variables = {"BENCH_FOLDER": str(folder), "BENTOML_HOME": str(place / "home"), "BENTOML_DO_NOT_TRACK": "True"}
        where = ["--working-dir", str(module.parent), "--host", HOST, "--port", str(port)]
        return Command(python, [str(python.parent / "bentoml"), "serve", f"{module.stem}:{service}", *where], variables)

    return start


def _split(records: Records, inputs: Sequence[Mapping[str, Any]]) -> Any:
    names = [one["name"] for one in inputs]
    data = [[record[name] for name in names] for record in records]
    return {"dataframe_split": {"columns": [one["tensor"] for one in inputs], "data": data}}


def _tensors(records: Records, inputs: Sequence[Mapping[str, Any]]) -> Any:
    """The Open Inference Protocol, with the content types that make a frame of it."""
    data = columns([dict(record) for record in records])
    tensors = [
        {
            "name": one["tensor"],
            "shape": [len(records)],
            "datatype": "BYTES" if one["element"] == "string" else "FP32",
            "data": data[one["name"]],
            **({"parameters": {"content_type": "str"}} if one["element"] == "string" else {}),
        }
        for one in inputs
    ]
    return {"parameters": {"content_type": "pd"}, "inputs": tensors, "outputs": [{"name": "predict_proba"}]}


def _columns(records: Records, inputs: Sequence[Mapping[str, Any]]) -> Any:
    return {"columns": columns([dict(record) for record in records])}


def _last_of_first(rows: Any) -> float:
    return float(rows[0][-1])


PEERS = {
    "mlflow models serve": Peer(
        "mlflow", ("mlflow", "scikit-learn", "uvicorn"), _mlflow, "/invocations", _split,
        lambda reply: _last_of_first(reply["predictions"]),
    ),
    "MLServer + scikit-learn": Peer(
        "mlserver", ("mlserver", "mlserver-sklearn", "scikit-learn"), _mlserver, "/v2/models/model/infer", _tensors,
        lambda reply: float(reply["outputs"][0]["data"][reply["outputs"][0]["shape"][-1] - 1]),
    ),
    "BentoML + scikit-learn": Peer(
        "bentoml", ("bentoml", "scikit-learn"), _bento("Sklearn"), "/predict", _columns, _last_of_first
    ),
    "BentoML + onnxruntime": Peer(
        "bentoml", ("bentoml", "onnxruntime"), _bento("Onnx"), "/predict", _columns, _last_of_first
    ),
}  # fmt: skip
