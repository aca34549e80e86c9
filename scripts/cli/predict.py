"""`perennial predict MODEL FILE`: score a file's rows over HTTPS."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track

from scripts.cli.deployment import Deployment, EnvironmentName
from scripts.cli.output import AsJson, errors, print_json
from scripts.cli.rows import batches, read_columns, tensors
from scripts.cli.signing import Api

ROWS_PER_REQUEST = 1000


def predict(
    model: Annotated[str, typer.Argument(help="A model of the catalog.")],
    file: Annotated[Path, typer.Argument(help="CSV or Parquet with the model's inputs.", exists=True, dir_okay=False)],
    version: Annotated[int | None, typer.Option(help="This version instead of the one that serves.")] = None,
    env: EnvironmentName = "dev",
    as_json: AsJson = False,
) -> None:
    """Print one line of CSV per row of FILE: prediction id, prediction, probabilities."""
    deployment = Deployment(env)
    api = Api(deployment.parameters["api-url"])
    contract = deployment.catalog.contract(deployment.catalog.model(model).dataset)
    path = f"/v2/models/{model}" + (f"/versions/{version}" if version is not None else "")
    metadata = api.json("GET", path)
    columns = read_columns(file, [spec["name"] for spec in metadata["inputs"]], contract.missing)
    pieces = list(batches(columns, ROWS_PER_REQUEST))
    found: list[dict[str, Any]] = []
    for piece in track(pieces, "scoring", console=errors, transient=True, disable=len(pieces) < 2):
        reply = api.json("POST", f"{path}/infer", {"inputs": tensors(piece, metadata["inputs"])})
        found += answers(reply)
    if as_json:
        print_json(found)
        return
    writer = csv.DictWriter(sys.stdout, fieldnames=list(found[0]) if found else ["prediction_id", "prediction"])
    writer.writeheader()
    writer.writerows({name: plain(value) for name, value in row.items()} for row in found)


def plain(value: Any) -> Any:
    """A value as CSV files have it: truth as `true` and `false`, like everywhere outside Python."""
    return str(value).lower() if isinstance(value, bool) else value


def answers(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """An infer reply as one dict per row: prediction_id, prediction, model_version, `probability_<class>` each."""
    outputs = {output["name"]: output for output in reply["outputs"]}
    identities, values = outputs["prediction_id"]["data"], outputs["prediction"]["data"]
    # during an experiment each row has a version of its own
    versions = reply.get("parameters", {}).get("versions") or [reply["model_version"]] * len(values)
    rows = [
        {"prediction_id": identity, "prediction": value, "model_version": str(version)}
        for identity, value, version in zip(identities, values, versions, strict=True)
    ]
    if "probability" in outputs:
        classes = outputs["probability"]["parameters"]["classes"]
        width, data = len(classes), outputs["probability"]["data"]
        for index, row in enumerate(rows):
            chunk = data[index * width : (index + 1) * width]
            row |= {f"probability_{plain(name)}": value for name, value in zip(classes, chunk, strict=True)}
    return rows
