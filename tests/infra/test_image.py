"""The training image: what is in it, and a ready one instead of a build."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import ValidationError

from infra.assets import image_context
from infra.environment import FOLDER, Environment
from infra.local.context import Cloud, ImageSource
from infra.local.lambdas.images import build, instructions, source_of
from infra.lock import ROOT, Target, group_packages, read_lock
from infra.synth import toolchain
from tests.infra.conftest import CATALOG, App, listed, text

HERE = Target(f"{sys.version_info.major}.{sys.version_info.minor}", "x86_64")
DIGEST = "sha256:" + "0123456789abcdef" * 4
READY = f"210987654321.dkr.ecr.eu-central-1.amazonaws.com/team/perennial@{DIGEST}"


def test_the_image_installs_the_locked_group_and_nothing_else() -> None:
    """Every line is the lock's, with its hashes; they are the group and, by their own metadata, all that it needs."""
    context = image_context(HERE)
    installed = {entry.name: entry for entry in read_lock((context / "requirements.txt").read_text(encoding="utf-8"))}
    lock = {(one.name, one.version): one for one in read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))}
    for entry in installed.values():
        assert entry.hashes
        assert entry.hashes == lock[entry.name, entry.version].hashes
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed: set[str] = set()
    waiting = group_packages(pyproject, ["training"])
    while waiting:
        needed.add(name := waiting.pop())
        wanted = (Requirement(line) for line in metadata.requires(name) or ())
        holding = (each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""}))
        waiting |= {canonicalize_name(each.name) for each in holding} - needed
    assert set(installed) == needed


def test_the_dockerfile_installs_from_that_list_by_hash_alone() -> None:
    context = image_context(HERE)
    installs = [
        rest for name, rest in instructions((context / "Dockerfile").read_text()) if name == "RUN" and "install" in rest
    ]
    assert len(installs) == 1
    words = installs[0].split()
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(words)
    assert words[words.index("-r") + 1 :] == ["/app/requirements.txt"]


def test_the_context_holds_what_is_copied_and_no_more() -> None:
    context = image_context(HERE)
    copied = [rest.split()[0] for name, rest in instructions((context / "Dockerfile").read_text()) if name == "COPY"]
    strays = [
        path
        for path in context.rglob("*")
        if path.is_file() and not any(path.is_relative_to(context / each) for each in [*copied, "Dockerfile"])
    ]
    assert strays == []


def test_the_context_can_be_had_without_cdk() -> None:
    command = [sys.executable, "-m", "infra.assets", "dev"]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True).stdout
    assert Path(printed.strip()) == image_context(Target("3.13", "x86_64"))


def settings(image: str | None) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "dev.yaml").read_text(encoding="utf-8"))
    return found | {"train": found["train"] | ({"image": image} if image else {})}


@pytest.mark.parametrize(
    "image",
    [
        READY.replace(f"@{DIGEST}", ":latest"),
        READY.replace(f"@{DIGEST}", ""),
        READY.replace(DIGEST, "sha256:beef"),
        READY.replace("/team/", "/Team/"),
        f"docker.io/library/python@{DIGEST}",
        f"public.ecr.aws/team/perennial@{DIGEST}",
    ],
)
def test_a_tag_or_a_registry_that_lambda_cannot_use_is_refused_with_the_reason(image: str) -> None:
    with pytest.raises(ValidationError, match=r"train\.image\n.*private ECR repositories only, and behind a tag"):
        Environment(name="dev", **settings(image))


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> App:
    """Environment dev with a ready image, synthesized by the app itself."""
    folder = tmp_path_factory.mktemp("ready")
    (folder / "dev.yaml").write_text(yaml.safe_dump(settings(READY)), encoding="utf-8")
    script = (
        "from functools import partial; from pathlib import Path; from infra.environment import Environment\n"
        f"Environment.load = partial(Environment.load, folder=Path({str(folder)!r}))\n"
        "from infra.app import main; main()\n"
    )
    context = {"env": "dev", "catalog": str(CATALOG), "layers": "locked"}
    variables = toolchain() | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'layers/core/python'}",
        "CDK_VALIDATION": "false",
        "CDK_OUTDIR": str(folder / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=variables, check=True, capture_output=True)
    return App.read(folder / "cdk.out")


def images(app: App) -> set[str]:
    task = app.one("AWS::ECS::TaskDefinition").props["ContainerDefinitions"][0]["Image"]
    return {text(task), *(text(props["Code"]["ImageUri"]) for props in image_functions(app).values())}


def image_functions(app: App) -> dict[str, dict[str, Any]]:
    """Properties of the functions that run the image, by name."""
    found = [one.props for one in app.of("AWS::Lambda::Function") if one.props.get("PackageType") == "Image"]
    return {props["FunctionName"]: props for props in found}


def docker_assets(app: App) -> list[str]:
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in app.folder.glob("*.assets.json")]
    return [name for manifest in manifests for name in manifest.get("dockerImages", {})]


def test_a_ready_image_takes_the_place_of_the_build_and_of_nothing_else(app: App, ready: App) -> None:
    assert docker_assets(app)
    assert docker_assets(ready) == []
    assert {image.replace("${AWS::URLSuffix}", "amazonaws.com") for image in images(ready)} == {READY}
    built, given = ({(one.stack, one.id): one for one in each.all()} for each in (app, ready))
    assert built.keys() == given.keys()
    differing = {one.type for key, one in given.items() if one.props != built[key].props}
    assert differing == {"AWS::Lambda::Function", "AWS::ECS::TaskDefinition", "AWS::IAM::Policy"}
    given_functions, built_functions = image_functions(ready), image_functions(app)
    assert set(given_functions) == {"perennial-dev-evaluate", "perennial-dev-score", "perennial-dev-monitor"}
    for name, props in given_functions.items():
        assert props["ImageConfig"] == built_functions[name]["ImageConfig"]


def test_the_task_may_pull_from_that_repository_alone(ready: App) -> None:
    pulls = [
        text(statement["Resource"])
        for policy in ready.of("AWS::IAM::Policy")
        for statement in policy.props["PolicyDocument"]["Statement"]
        if "ecr:BatchGetImage" in listed(statement["Action"])
    ]
    assert pulls == ["arn:${AWS::Partition}:ecr:eu-central-1:210987654321:repository/team/perennial"]


def test_locally_a_ready_image_stands_for_the_one_of_this_checkout(tmp_path: Path) -> None:
    cloud = Cloud(1, 2, tmp_path)
    source = source_of(cloud, READY)
    assert source is not None
    image = build(source, tmp_path)
    assert (image.directory() / "functions" / "train" / "handler.py").is_file()
    assert source_of(cloud, READY.replace(f"@{DIGEST}", ":latest")) is None
    known = cloud.images[READY] = ImageSource(tmp_path)
    assert source_of(cloud, READY) is known
    assert re.fullmatch(r"python\S*", Path(image.arguments()[0]).name)
