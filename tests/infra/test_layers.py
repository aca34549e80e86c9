"""Third-party layers: the right part of the lock, and nothing trimmed that is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from sysconfig import get_path

import pytest

from infra import layers, trimming
from infra.assets import TRAINING, forget_unbuilt
from infra.build_layers import Composition, compositions, zipped
from infra.layers import LAMBDA_LIMIT, LAYERS, RECORD, LayerNotBuilt, asset_hash, build, layer_hash, once
from infra.lock import ROOT, Target, read_lock, requirements
from infra.trimming import StillNeeded, size, trim
from scripts.cli.output import Failure
from scripts.cli.up import unpack_layers
from tests.infra.conftest import App
from tests.infra.test_stages import LAYERS as LAYERS_OF

LAMBDA = Target("3.13", "x86_64")
LOCK = """\
# comment of the tool
alpha==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via
    #   project (pyproject.toml:dev)
    #   beta
alpha==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:ac
    # via beta
beta==3.1 \\
    --hash=sha256:ba
    # via project (pyproject.toml:dev)
"""


def names(text: str) -> set[str]:
    return {line.split("==")[0] for line in text.splitlines() if "==" in line}


def test_the_lock_is_read_with_hashes_markers_and_parents() -> None:
    first, second, third = read_lock(LOCK)
    assert (first.name, first.version, first.hashes) == ("alpha", "1.0", ("sha256:aa", "sha256:ab"))
    assert first.needed_by == {"project", "beta"}
    assert second.marker == 'python_full_version >= "3.12"'
    assert (third.name, third.marker) == ("beta", None)
    assert third.needed_by == {"project"}


def test_a_layer_is_what_its_groups_need_and_no_more() -> None:
    base = names(requirements(LAYERS["base"], LAMBDA))
    assert {"aws-lambda-powertools", "pydantic", "pydantic-core", "pyyaml", "typing-extensions"} <= base
    assert not base & {"boto3", "numpy", "pytest"}  # Lambda's runtime brings boto3
    assert names(requirements(LAYERS["serving"], LAMBDA)) == {"numpy", "onnxruntime"}
    assert names(requirements(LAYERS["data"], LAMBDA)) == {"numpy", "pyarrow"}


def test_the_image_has_what_training_needs_and_no_tools() -> None:
    training = names(requirements(TRAINING, LAMBDA))
    assert {"scikit-learn", "scipy", "pandas", "skl2onnx", "onnx", "boto3", "awslambdaric", "joblib"} <= training
    assert not training & {"pytest", "moto", "aws-cdk-lib", "ruff"}


def test_markers_are_judged_for_the_runtime_not_for_this_machine() -> None:
    lines = requirements(LAYERS["data"], LAMBDA).splitlines()
    pinned = [line.split()[0] for line in lines if line.startswith("numpy==")]
    versions = {e.version for e in read_lock((ROOT / "requirements.lock").read_text()) if e.name == "numpy"}
    newest = max(versions, key=lambda version: tuple(int(part) for part in version.split(".")))
    assert pinned == [f"numpy=={newest}"]
    assert ";" not in "".join(lines)


def test_every_requirement_is_hashed() -> None:
    for layer in [*LAYERS.values(), TRAINING]:
        for block in requirements(layer, LAMBDA).replace(" \\\n", "").splitlines():
            assert "--hash=sha256:" in block


def test_the_identity_of_a_layer_follows_lock_runtime_and_processor() -> None:
    identities = {layer_hash(LAYERS["data"], Target(python, "x86_64")) for python in ("3.12", "3.13")}
    identities |= {layer_hash(LAYERS["data"], Target("3.13", "arm64")), layer_hash(LAYERS["serving"], LAMBDA)}
    assert len(identities) == 4


# Each package does what the stages use it for; onnx comes from this machine, to make a graph with.
WORK = """
import pathlib, tempfile, numpy, onnxruntime, pyarrow as pa, pyarrow.compute as pc
import pyarrow.csv as csv, pyarrow.parquet as pq
from onnx import TensorProto, helper

# files, not Python buffers: Arrow's threads may let go of a buffer while Python is already ending, which aborts it
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "table.csv").write_text("a,b\\n1,x\\n2,y\\n")
table = csv.read_csv(folder / "table.csv")
pq.write_table(table, folder / "table.parquet")
assert pq.ParquetFile(folder / "table.parquet").read() == table
assert pc.sum(table["a"]).as_py() == 3
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "twice", [value("x")], [value("y")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString())
assert session.run(None, {"x": numpy.ones((2, 1), "float32")})[0].sum() == 4
print(*(module.__file__ for module in (numpy, onnxruntime, pa)), sep="\\n")
"""


def test_what_is_left_after_trimming_still_works(tmp_path: Path) -> None:
    """The same wheels as the layers', for this machine's Python: trimmed, and then used as the stages use them."""
    installed = Path(get_path("platlib"))
    for package in ("numpy", "numpy.libs", "pyarrow", "onnxruntime"):
        for path in (installed / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = tmp_path / path.relative_to(installed)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    trim(tmp_path)
    variables = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "ORT_DISABLE_TELEMETRY": "1"}
    variables["TMPDIR"] = str(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", WORK], env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert all(line.startswith(str(tmp_path)) for line in ended.stdout.splitlines()), ended.stdout


def test_a_library_that_another_is_linked_against_is_not_trimmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = Path(get_path("platlib")) / "pyarrow"
    (tmp_path / "pyarrow").mkdir()
    for path in [*installed.glob("lib.*.so"), *installed.glob("libarrow_substrait.so*")]:
        shutil.copyfile(path, tmp_path / "pyarrow" / path.name)
    monkeypatch.setattr(trimming, "TRIMMED", ("pyarrow/libarrow_substrait*",))
    with pytest.raises(StillNeeded, match=r"pyarrow/lib\..*\.so is linked against libarrow_substrait\.so\.\d+, which"):
        trim(tmp_path)


def test_a_layer_whose_wheels_are_not_to_be_had_says_which_and_for_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "BUILD", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    wanted = (
        r"layer base cannot be built for Python 3\.13 on arm64: pip says ERROR: .*No matching distribution found for"
    )
    with pytest.raises(LayerNotBuilt, match=wanted):
        build(LAYERS["base"], Target("3.13", "arm64"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Failure, match="--strict needs the layers of the functions, unpacked for this machine"):
        unpack_layers("dev")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        once(tmp_path / "made", fill)
    assert not list(tmp_path.iterdir())


def test_the_slower_of_two_takes_what_the_faster_made(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "mine").touch()
        once(tmp_path / "made", lambda other: (other / "theirs").touch())

    once(tmp_path / "made", fill)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["theirs"]


def test_a_layer_that_was_only_named_is_not_taken_for_a_built_one(tmp_path: Path) -> None:
    for name, inside in (("asset.named", "requirements.txt"), ("asset.built", "python/numpy.py")):
        (tmp_path / name / inside).parent.mkdir(parents=True)
        (tmp_path / name / inside).touch()
    for name in ("asset.named", "asset.built", "asset.absent"):
        forget_unbuilt(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["asset.built"]


def test_an_assembly_holds_a_layer_under_the_name_that_is_looked_for(app: App) -> None:
    for layer in LAYERS.values():
        assert (app.folder / f"asset.{asset_hash(layer, LAMBDA)}" / "requirements.txt").is_file()


def test_a_function_is_composed_as_the_template_says(app: App) -> None:
    found = {one.function.removeprefix("perennial-dev-"): one for one in compositions(app.folder, LAMBDA)}
    assert {name: set(one.layers) for name, one in found.items()} == {
        name: layers & LAYERS.keys() for name, layers in LAYERS_OF.items()
    }
    core = size(ROOT / "layers" / "core" / "python")
    assert all(0 < one.own < core + 1_000_000 for one in found.values())


def test_a_total_is_a_functions_own_bytes_and_those_of_its_layers() -> None:
    sizes = {"base": 10, "data": 100, "serving": 1000}
    assert Composition("ingest", ("base", "data"), 1).total(sizes) == 111


def test_a_zip_is_measured_as_it_is_uploaded(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(1_000_000))
    assert zipped(tmp_path) < 10_000


def test_trimming_tells_what_has_gone(tmp_path: Path) -> None:
    for name in ("numpy/tests/test_all.py", "numpy/core.py", "numpy/core.pyi", "bin/f2py", "numpy/f2py/tests/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 10)
    assert trim(tmp_path) == {"**/tests": 20, "bin": 10, "**/*.pyi": 10, "numpy/f2py": 0}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["core.py"]


def test_the_layers_keep_within_their_sizes(app: App, unpacked: Target) -> None:
    """The largest wheels are those for x86_64 and the oldest Python; the goals are ours, the limit is Lambda's."""
    sizes = {layer.name: size(build(layer, unpacked)) for layer in LAYERS.values()}
    totals = {one.function.removeprefix("perennial-dev-"): one.total(sizes) for one in compositions(app.folder, LAMBDA)}
    assert max(totals.values()) < LAMBDA_LIMIT
    assert totals["ingest"] <= 180 * 2**20
    assert totals["predict-hours"] <= 100 * 2**20


def test_compiled_files_are_taken_without_a_look_at_their_source(unpacked: Target) -> None:
    """Unchecked hash-based .pyc (PEP 552), whose bytes do not depend on when and where they were made."""
    folder = build(LAYERS["base"], unpacked)
    [compiled] = (folder / "python" / "pydantic" / "__pycache__").glob("__init__.*.pyc")
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01
    assert b"/opt/python/pydantic/__init__.py" in compiled.read_bytes()
    assert json.loads((folder / RECORD).read_text())["compiled"] is True
