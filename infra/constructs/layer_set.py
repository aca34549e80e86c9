"""The Lambda layers of one stack. Each has its own, since a layer cannot change while another stack imports it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aws_cdk import AssetHashType
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import assets
from infra.environment import Environment
from infra.layers import LAYERS, asset_hash, layer_hash
from infra.lock import ROOT, Target


def architecture(environment: Environment) -> lambda_.Architecture:
    """The environment's processor, as CDK names it."""
    return lambda_.Architecture.ARM_64 if environment.architecture == "arm64" else lambda_.Architecture.X86_64


def runtime(environment: Environment) -> lambda_.Runtime:
    """The environment's Python, as CDK names it. SnapStart takes 3.12 and later, which is all there is to choose."""
    return lambda_.Runtime(f"python{environment.python}", lambda_.RuntimeFamily.PYTHON, supports_snap_start=True)


class LayerSet(Construct):
    """Makes a layer when the first function of the stack asks for it."""

    def __init__(self, scope: Construct, *, environment: Environment) -> None:
        super().__init__(scope, "Layers")
        self._environment = environment
        self._target = Target(environment.python, environment.architecture)
        self._made: dict[str, lambda_.LayerVersion] = {}

    def get(self, names: Sequence[str]) -> list[lambda_.ILayerVersion]:
        """The layers `names`, in that order."""
        return [self._layer(name) for name in names]

    def _layer(self, name: str) -> lambda_.LayerVersion:
        if name not in self._made:
            self._made[name] = lambda_.LayerVersion(
                self,
                name.title(),
                layer_version_name=self._environment.resource(name),
                code=self._code(name),
                compatible_runtimes=[runtime(self._environment)],
                compatible_architectures=[architecture(self._environment)],
            )
        return self._made[name]

    def _code(self, name: str) -> lambda_.Code:
        if name == "core":
            return lambda_.Code.from_asset(str(ROOT / "layers" / "core"), exclude=assets.EXCLUDED)
        if name == "predict":
            return lambda_.Code.from_asset(str(assets.predict_layer()))
        return self._third_party(name)

    def _third_party(self, name: str) -> lambda_.Code:
        layer = LAYERS[name]
        build = self.node.try_get_context("layers") == "build"
        if build:
            assembly = Path(os.environ.get("CDK_OUTDIR", "cdk.out"))
            assets.forget_unbuilt(assembly / f"asset.{asset_hash(layer, self._target)}")
        folder = assets.third_party(layer, self._target, build=build)
        identity = layer_hash(layer, self._target)
        return lambda_.Code.from_asset(str(folder), asset_hash=identity, asset_hash_type=AssetHashType.CUSTOM)
