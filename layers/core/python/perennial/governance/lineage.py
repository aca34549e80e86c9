"""Where a model version comes from, as an OpenLineage run event: dataset versions → run → model version.

https://openlineage.io/docs/spec/object-model, naming of S3 objects as in https://openlineage.io/docs/spec/naming.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import perennial
from perennial.registry.models import ModelVersion

PRODUCER = f"urn:perennial:{perennial.__version__}"
EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
VERSION_FACET = "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json"
CUSTOM_FACET = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/DatasetFacet"
CUSTOM_RUN_FACET = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"


def lineage_event(
    version: ModelVersion, request: Mapping[str, Any], training: Mapping[str, Any], bucket: str
) -> dict[str, Any]:
    """The COMPLETE event of the run that made `version`, out of request.json and training.json.

    An input is a dataset version with its content hash and its files: what a bit-identical retrain reads. Versions that
    the request named and of which no row was used are none. Of a promoted version these lie where it was trained.
    """
    origin = version.promoted_from
    made_by = origin.run if origin else version.run
    namespace, trained_in = f"s3://{bucket}", f"s3://{origin.bucket if origin else bucket}"
    run = {
        "runId": str(uuid5(NAMESPACE_URL, f"perennial:{version.model}/{made_by}")),
        "facets": {
            "perennial_run": _facet(
                CUSTOM_RUN_FACET,
                run=made_by,
                flight=request.get("flight"),
                reason=request.get("reason"),
                seed=request.get("seed"),
                catalog=request.get("catalog"),
                catalogSha256=training.get("catalog_sha256"),
                codeSha256=training.get("code_sha256"),
            )
        },
    }
    used = {one["version"] for one in training["datasets"]}
    promoted = {"promotedFrom": origin.model_dump(mode="json")} if origin else {}
    output = {
        "namespace": namespace,
        "name": version.prefix.rstrip("/"),
        "facets": {
            "version": _facet(VERSION_FACET, datasetVersion=str(version.version)),
            "perennial_model": _facet(CUSTOM_FACET, model=version.model, version=version.version, **promoted),
        },
    }
    return {
        "eventType": "COMPLETE",
        "eventTime": version.at.isoformat(),
        "producer": PRODUCER,
        "schemaURL": EVENT,
        "run": run,
        "job": {"namespace": "perennial", "name": f"train/{version.model}", "facets": {}},
        "inputs": [
            _input(trained_in, request["dataset"], one) for one in request["versions"] if one["version"] in used
        ],
        "outputs": [output],
    }


def _input(namespace: str, dataset: str, one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "name": f"curated/{dataset}/version={one['version']:08d}",
        "facets": {
            "version": _facet(VERSION_FACET, datasetVersion=str(one["version"])),
            "perennial_dataset": _facet(
                CUSTOM_FACET,
                dataset=dataset,
                version=one["version"],
                contentSha256=one["content_sha256"],
                rows=one["rows"],
                files=list(one["files"]),
            ),
        },
    }


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": schema, **fields}
