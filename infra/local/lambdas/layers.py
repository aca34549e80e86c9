"""Operations on layers.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_PublishLayerVersion.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.local.lambdas import views
from infra.local.lambdas.arns import LAYER, LAYER_VERSION
from infra.local.lambdas.code import CodeStore, check_upload
from infra.local.lambdas.errors import NotFound, ValidationError
from infra.local.lambdas.model import LayerVersion
from infra.local.lambdas.registry import Registry

Request = Mapping[str, Any]


class Layers:
    """PublishLayerVersion … DeleteLayerVersion."""

    def __init__(self, registry: Registry, store: CodeStore, endpoint: str) -> None:
        self._registry = registry
        self._store = store
        self._endpoint = endpoint

    def publish(self, name: str, request: Request, size: int) -> dict[str, Any]:
        """PublishLayerVersion: always a new version, also of equal content."""
        check_upload(size)
        arn = self._arn(name)
        runtimes = tuple(request.get("CompatibleRuntimes") or ())
        architectures = tuple(request.get("CompatibleArchitectures") or ())
        package = self._store.layer(self._store.fetch(dict(request.get("Content") or {})), runtimes, architectures)
        with self._registry.lock:
            number = self._registry.layer_numbers.get(arn, 0) + 1
            self._registry.layer_numbers[arn] = number
            layer = LayerVersion(
                arn,
                number,
                package,
                request.get("Description") or "",
                runtimes,
                architectures,
                request.get("LicenseInfo") or "",
            )
            self._registry.layers.setdefault(arn, {})[number] = layer
        return views.layer(layer, self._endpoint)

    def get(self, name: str, number: str) -> dict[str, Any]:
        """GetLayerVersion."""
        layer = self._registry.layers.get(self._arn(name), {}).get(int(number))
        if layer is None:
            raise NotFound("The resource you requested does not exist.")
        return views.layer(layer, self._endpoint)

    def get_by_arn(self, arn: str) -> dict[str, Any]:
        """GetLayerVersionByArn."""
        match = LAYER_VERSION.match(arn)
        if not match:
            raise ValidationError(f"1 validation error detected: Value '{arn}' at 'arn' is not a layer version")
        return self.get(match["layer"], match["version"])

    def versions(self, name: str) -> list[dict[str, Any]]:
        """ListLayerVersions, newest first."""
        found = self._registry.layers.get(self._arn(name), {})
        return [views.layer(found[number]) for number in sorted(found, reverse=True)]

    def list(self) -> list[dict[str, Any]]:
        """ListLayers, each with its newest version."""
        listed = []
        for arn, found in sorted(self._registry.layers.items()):
            if found:
                newest = views.layer(found[max(found)])
                listed.append({"LayerName": arn.rpartition(":")[2], "LayerArn": arn, "LatestMatchingVersion": newest})
        return listed

    def delete(self, name: str, number: str) -> None:
        """DeleteLayerVersion: functions that use it keep their copy."""
        with self._registry.lock:
            self._registry.layers.get(self._arn(name), {}).pop(int(number), None)

    def _arn(self, name: str) -> str:
        match = LAYER.match(name)
        if not match:
            raise ValidationError(f"1 validation error detected: Value '{name}' at 'layerName' is not a layer name")
        return self._registry.place.layer(match["name"])
