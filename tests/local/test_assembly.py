from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra.local.assembly import AssemblyError, archive, publish, read
from infra.local.context import Cloud

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"


def write(directory: Path, name: str, content: Any) -> None:
    (directory / name).write_text(json.dumps(content), encoding="utf-8")


def file_asset(path: str, key: str, packaging: str = "zip") -> dict[str, Any]:
    return {
        "source": {"path": path, "packaging": packaging},
        "destinations": {"d": {"bucketName": BUCKET, "objectKey": key}},
    }


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    """Two stacks, the first of the manifest depending on the second; a zip, a file and an image asset."""
    stack = {"type": "aws:cloudformation:stack"}
    manifest = {
        "artifacts": {
            "app": stack
            | {"properties": {"templateFile": "app.json", "parameters": {"P": "v"}}, "dependencies": ["data"]},
            "data": stack
            | {"properties": {"templateFile": "data.json", "stackName": "data-dev"}, "dependencies": ["data.assets"]},
            "data.assets": {"type": "cdk:asset-manifest", "properties": {"file": "data.assets.json"}},
            "Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}},
        }
    }
    write(tmp_path, "manifest.json", manifest)
    write(tmp_path, "app.json", {"Resources": {}})
    write(tmp_path, "data.json", {"Resources": {}})
    (tmp_path / "asset.code" / "deep").mkdir(parents=True)
    (tmp_path / "asset.code" / "deep" / "a.py").write_text("x = 1")
    (tmp_path / "asset.file").write_text("text")
    image = {
        "source": {
            "directory": "asset.code",
            "dockerFile": "D",
            "dockerBuildArgs": {"V": "1"},
            "platform": "linux/amd64",
        },
        "destinations": {"d": {"repositoryName": "images-${AWS::AccountId}-${AWS::Region}", "imageTag": "tag"}},
    }
    files = {"c": file_asset("asset.code", "code.zip"), "f": file_asset("asset.file", "file.txt", "file")}
    write(tmp_path, "data.assets.json", {"files": files, "dockerImages": {"i": image}})
    return tmp_path


def test_stacks_come_in_the_order_of_their_dependencies(assembly: Path) -> None:
    stacks = read(assembly)
    assert [stack.name for stack in stacks] == ["data-dev", "app"]
    assert stacks[1].parameters == {"P": "v"}
    assert [asset.key for asset in stacks[0].files] == ["code.zip", "file.txt"]
    assert stacks[0].images[0].source.dockerfile == "D"


def test_a_directory_that_is_no_assembly_says_so(tmp_path: Path) -> None:
    with pytest.raises(AssemblyError, match="is no cloud assembly; synthesize it first"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(AssemblyError, match="not JSON"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("artifact", "words"),
    [
        ({"type": "cdk:cloud-assembly"}, "cdk:cloud-assembly"),
        ({"type": "cdk:tree", "dependencies": ["app"]}, "circle"),
    ],
)
def test_artifacts_that_are_not_understood_are_refused(assembly: Path, artifact: dict[str, Any], words: str) -> None:
    manifest = json.loads((assembly / "manifest.json").read_text())
    manifest["artifacts"]["strange"] = artifact
    manifest["artifacts"]["data"]["dependencies"].append("strange")
    write(assembly, "manifest.json", manifest)
    with pytest.raises(AssemblyError, match=words):
        read(assembly)


def test_assets_made_by_a_program_are_refused(assembly: Path) -> None:
    made = {"c": {"source": {"executable": ["make"]}, "destinations": {}}}
    write(assembly, "data.assets.json", {"files": made})
    with pytest.raises(AssemblyError, match="executable"):
        read(assembly)


def test_an_archive_depends_on_names_modes_and_contents_only(tmp_path: Path) -> None:
    made: list[bytes] = []
    for name in ("one", "two"):
        (tmp_path / name / "b").mkdir(parents=True)
        for file in ("z.txt", "b/a.sh"):
            path = tmp_path / name / file
            path.write_text(file)
            os.utime(path, (len(made) * 1e8, len(made) * 1e8))
        (tmp_path / name / "b/a.sh").chmod(0o755)
        made.append(archive(tmp_path / name))
    assert made[0] == made[1]
    with zipfile.ZipFile(io.BytesIO(made[0])) as packed:
        assert packed.namelist() == ["b/a.sh", "z.txt"]
        assert packed.getinfo("b/a.sh").external_attr >> 16 & 0o777 == 0o755


def test_published_assets_are_where_the_template_looks(assembly: Path, cloud: Cloud) -> None:
    data = read(assembly)[0]
    publish(cloud, data)
    publish(cloud, data)
    bucket = f"cdk-hnb659fds-assets-{cloud.account}-{cloud.region}"
    code = cloud.client("s3").get_object(Bucket=bucket, Key="code.zip")["Body"].read()
    with zipfile.ZipFile(io.BytesIO(code)) as file:
        assert file.read("deep/a.py") == b"x = 1"
    assert cloud.client("s3").get_object(Bucket=bucket, Key="file.txt")["Body"].read() == b"text"
    version = cloud.client("ssm").get_parameter(Name="/cdk-bootstrap/hnb659fds/version")["Parameter"]["Value"]
    assert int(version) >= 6
    uri = f"{cloud.account}.dkr.ecr.{cloud.region}.amazonaws.com/images-{cloud.account}-{cloud.region}:tag"
    assert cloud.images[uri].directory == assembly / "asset.code"
