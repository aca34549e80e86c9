from __future__ import annotations

from pathlib import Path

from perennial.training.provenance import code_sha256, surroundings


def test_the_code_digest_changes_with_any_source(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    source = tmp_path / "train" / "handler.py"
    source.write_text("a = 1\n")
    first = code_sha256([tmp_path / "train"])
    assert code_sha256([tmp_path / "train"]) == first
    source.write_text("a = 2\n")
    assert code_sha256([tmp_path / "train"]) != first


def test_surroundings_name_libraries_and_kernels() -> None:
    found = surroundings()
    assert {"numpy", "scikit-learn", "skl2onnx", "onnxruntime"} <= set(found["libraries"])
    assert all("architecture" in one for one in found["blas"])
