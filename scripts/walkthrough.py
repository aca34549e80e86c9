"""What `scripts/demo` does: three months of flights in, a served model out, April predicted over the API.

It acts as a user with ordinary clients (boto3, signed HTTP) against the local cloud that runs the template.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from sklearn.metrics import roc_auc_score

from infra.synth import SynthesisFailed, synthesize
from perennial.errors import PerennialError
from scripts import checks
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure, console, errors, table
from scripts.cli.predict import answers
from scripts.cli.rows import tensors
from scripts.cli.signing import Api
from scripts.flights import months
from scripts.steps import Say, Steps

MODEL, DATASET = "flight-delays", "flights"
TRAINING_MONTHS, SCORED_MONTH = 3, 4
LATE_MINUTES = 15
CLIENTS = 2


@dataclass
class Report:
    """What the demo found out, in the words of its JSON report."""

    ok: bool = False
    seconds: float = 0.0
    executions: int = 0
    datasets: list[dict[str, Any]] = field(default_factory=list)
    model: dict[str, Any] = field(default_factory=dict)
    requests: dict[str, Any] = field(default_factory=dict)
    endpoint: str = ""
    steps: dict[str, float] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    failed: str | None = None
    error: str | None = None


def main() -> int:
    """Run the demo; 0 when every stage did its job."""
    options = _options()
    report, steps, started = Report(), Steps(), time.monotonic()
    workdir = local.WORKDIR / "demo"
    try:
        local.stop(workdir)
        shutil.rmtree(workdir, ignore_errors=True)
        _run(report, steps, workdir, options.port)
        steps.current = "finish in time"
        checks.in_time(time.monotonic() - started)
        report.ok = True
    except (Failure, SynthesisFailed, PerennialError, ClientError, BotoCoreError, Boto3Error) as error:
        report.error = str(error)
        errors.print(f"[bold red]demo failed[/] to {escape(f'{steps.current}: {error}')}", soft_wrap=True)
    except Exception as error:
        report.error = f"{type(error).__name__}: {error}"
        raise
    finally:
        report.seconds, report.steps = round(time.monotonic() - started, 1), steps.seconds
        report.failed = None if report.ok else steps.current
        if options.json:
            options.json.write_text(json.dumps(vars(report), indent=2, sort_keys=True) + "\n")
        if not options.keep:
            local.stop(workdir)
    _summary(report, kept=options.keep)
    return 0 if report.ok else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="The main job, on the local cloud.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--port", type=int, default=4580, help="AWS APIs here, the HTTP API on the next port")
    parser.add_argument("--keep", action="store_true", help="leave the local cloud running to look around")
    return parser.parse_args()


def _run(report: Report, step: Steps, workdir: Path, port: int) -> None:
    with step("split the flights of 2013 by month"):
        files = months(local.WORKDIR / "flights")
    with step("synthesize the CDK app"):
        assembly = synthesize(env="dev", catalog=local.ROOT / "infra" / "catalog")
    with step("start the local cloud") as say:
        state = local.start(assembly, port=port, env="dev", workdir=workdir, say=say)
        os.environ |= local.exports(state)
        os.environ.pop("AWS_PROFILE", None)
    deployment = Deployment("dev")
    report.endpoint = deployment.parameters["api-url"]
    with step("drop January, February and March") as say:
        _drop(deployment, files[:TRAINING_MONTHS], report, say)
    with step("train, evaluate, register, deploy") as say:
        _await_model(deployment, report, say)
    with step("predict April over the API") as say:
        _predict(files[SCORED_MONTH - 1], report, say)
    with step("find every prediction in the log") as say:
        _check_log(deployment, state, report, say)
    with step("verify the ledger"):
        _check_ledger(deployment, report)
    report.where |= {
        "dropped files": f"s3://{deployment.data.bucket}/raw/{DATASET}/",
        "dataset versions": f"s3://{deployment.data.bucket}/curated/{DATASET}/",
        "model": f"s3://{deployment.data.bucket}/models/{MODEL}/",
        "predictions": f"s3://{deployment.data.bucket}/predictions/{MODEL}/",
        "ledger": f"s3://{deployment.parameters['ledger-bucket']}/",
        "logs of this run": str(workdir),
    }


def _drop(deployment: Deployment, files: list[Path], report: Report, say: Say) -> None:
    """Upload the files as any S3 client does; the events do the rest. Ends when each is a dataset version."""
    s3 = deployment.client("s3")
    for file in files:
        s3.upload_file(str(file), deployment.data.bucket, f"raw/{DATASET}/{file.name}")
    deadline = time.monotonic() + 120
    while True:
        finished = [e for e in deployment.executions("ingest") if e["status"] != "RUNNING"]
        failed = [e["name"] for e in finished if e["status"] != "SUCCEEDED"]
        checks.expect(not failed, f"ingest executions failed: {failed}")
        say(f"{len(finished)} of {len(files)} files ingested")
        if len(finished) >= len(files):
            break
        checks.expect(time.monotonic() < deadline, f"only {len(finished)} of {len(files)} files were ingested in 120 s")
        time.sleep(0.3)
    versions = sorted(
        (item for item in deployment.items.query(f"DATASET#{DATASET}", "VERSION#")), key=lambda item: item["version"]
    )
    report.datasets = [
        {"name": DATASET, "version": v["version"], "rows": v["rows"], "quarantined": v["quarantined"]} for v in versions
    ]
    checks.every_row_is_kept(report.datasets, [_data_rows(file) for file in files])


def _data_rows(file: Path) -> int:
    with file.open(newline="") as lines:
        return sum(1 for _ in csv.reader(lines)) - 1


def _await_model(deployment: Deployment, report: Report, say: Say) -> None:
    """Wait for the one training to end; it must have succeeded and put version 1 into service."""
    deadline = time.monotonic() + 180
    while True:
        executions = deployment.executions("lifecycle")
        if executions and all(e["status"] != "RUNNING" for e in executions):
            break
        say(_current_state(deployment, executions))
        checks.expect(time.monotonic() < deadline, "no training ended in 180 s")
        time.sleep(0.5)
    report.executions = len(executions)
    champion = deployment.registry.champion(MODEL)
    if champion is not None:
        report.model = {
            "name": MODEL,
            "version": champion.version,
            "sha256": champion.sha256,
            "metrics": champion.metrics,
        }
    told = [execution | {"why": _explanation(deployment, execution)} for execution in executions]
    checks.trained_once(told, champion.version if champion else None)


def _current_state(deployment: Deployment, executions: list[dict[str, Any]]) -> str:
    if not executions:
        return "waiting for the arrivals to settle"
    history = deployment.client("stepfunctions").get_execution_history(executionArn=executions[0]["executionArn"])
    events = sorted(history["events"], key=lambda event: event["id"])
    entered = [e["stateEnteredEventDetails"]["name"] for e in events if "stateEnteredEventDetails" in e]
    return str(entered[-1]) if entered else "started"


def _explanation(deployment: Deployment, execution: dict[str, Any]) -> str:
    found = deployment.client("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    return f"{found.get('error')}: {found.get('cause')}"


def _predict(file: Path, report: Report, say: Say) -> None:
    """One request per scheduled hour and origin airport, as an airport would ask; AUC once the flights have landed."""
    api = Api(report.endpoint)
    metadata = api.json("GET", f"/v2/models/{MODEL}")
    requests = list(_departures(file))
    latencies, scores, labels, faults = [], [], [], []
    columns = [spec["name"] for spec in metadata["inputs"]]

    def ask(rows: list[dict[str, Any]]) -> tuple[float, list[float], list[int], str | None]:
        body = {"inputs": tensors({name: [row[name] for row in rows] for name in columns}, metadata["inputs"])}
        began = time.perf_counter()
        try:
            reply = api.json("POST", f"/v2/models/{MODEL}/infer", body)
        except Failure as failure:
            return time.perf_counter() - began, [], [], str(failure)
        took = time.perf_counter() - began
        late = [answer["probability_1"] for answer in answers(reply)]
        landed = [(p, row["arr_delay"]) for p, row in zip(late, rows, strict=True) if row["arr_delay"] is not None]
        return took, [p for p, _ in landed], [int(float(delay) > LATE_MINUTES) for _, delay in landed], None

    with ThreadPoolExecutor(CLIENTS) as pool:
        for count, (took, late, landed, fault) in enumerate(pool.map(ask, requests), start=1):
            latencies.append(took)
            scores += late
            labels += landed
            if fault:
                faults.append(fault)
            say(f"{count} of {len(requests)} requests")
    ordered = sorted(latencies)
    auc = round(float(roc_auc_score(labels, scores)), 4) if len(set(labels)) == 2 else None
    report.requests = {
        "count": len(requests),
        "errors": len(faults),
        "rows": sum(len(rows) for rows in requests),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
        "auc": auc,
    }
    checks.predictions_are_honest(report.requests, faults)


def _departures(file: Path) -> Iterator[list[dict[str, Any]]]:
    """The month's flights, grouped by scheduled hour and origin."""
    with file.open(newline="") as lines:
        rows = [{k: None if v in {"", "NA"} else v for k, v in row.items()} for row in csv.DictReader(lines)]
    rows.sort(key=lambda row: (str(row["time_hour"]), str(row["origin"])))
    for _, group in groupby(rows, key=lambda row: (row["time_hour"], row["origin"])):
        yield list(group)


def _check_log(deployment: Deployment, state: dict[str, Any], report: Report, say: Say) -> None:
    """Every scored row must be in the prediction log on S3; the clock is driven past the delivery buffer."""
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    deadline, found = time.monotonic() + 30, 0
    while found < report.requests["rows"] and time.monotonic() < deadline:
        time.sleep(0.5)
        local.control(endpoint, "tick", {"seconds": 900})
        found = sum(
            json.loads(line)["rows"]
            for key in deployment.data.list(f"predictions/{MODEL}/")
            for line in _lines(deployment.data.get(key), key)
        )
        say(f"{found} of {report.requests['rows']} rows")
    report.requests["logged_rows"] = found
    sent = report.requests["rows"]
    checks.expect(found == sent, f"{found} of {sent} scored rows are in the log")


def _lines(body: bytes, key: str) -> list[str]:
    """The records of an object of the log; between them there may be blank lines, since log events keep their ends."""
    import gzip

    text = (gzip.decompress(body) if key.endswith(".gz") else body).decode()
    return [line for line in text.splitlines() if line.strip()]


def _check_ledger(deployment: Deployment, report: Report) -> None:
    verdict = deployment.ledger.verify(None)
    checks.expect(verdict.ok, f"the ledger is broken: {verdict}")
    checks.story_is_complete([record.fact for record in deployment.ledger.read(f"model/{MODEL}")])


def _summary(report: Report, *, kept: bool) -> None:
    rows: list[tuple[str, Any]] = [
        (f"{d['name']} version {d['version']}", f"{d['rows']:,} rows, {d['quarantined']} in quarantine")
        for d in report.datasets
    ]
    rows.append(("training executions", report.executions))
    if report.model:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in sorted(report.model["metrics"].items()))
        rows += [("model", f"{report.model['name']} version {report.model['version']}"), ("held-out metrics", shown)]
        rows.append(("manifest SHA-256", report.model["sha256"]))
    if report.requests:
        sent = report.requests
        rows += [
            ("April", f"{sent['rows']:,} flights in {sent['count']:,} requests, {sent['errors']} errors"),
            ("April AUC", sent["auc"]),
            ("latency", f"p50 {sent['p50_ms']} ms, p99 {sent['p99_ms']} ms ({CLIENTS} clients)"),
        ]
    rows += list(report.where.items())
    rows.append(("time", f"{report.seconds} s"))
    console.print(
        table("Perennial demo: " + ("every stage did its job" if report.ok else "FAILED"), ("what", "found"), rows)
    )
    if kept:
        hint = 'eval "$(PERENNIAL_WORKDIR=.perennial/demo .venv/bin/perennial env)"'
        console.print(f"Still running at {report.endpoint}; look around with {hint}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
