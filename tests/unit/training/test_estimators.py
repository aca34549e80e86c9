"""A team's own estimators: loaded from the reviewed catalog only, held to the same parity gate as any other."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perennial.catalog.load import read_catalog
from perennial.errors import CatalogInvalid, EstimatorUnknown, ParityFailed
from perennial.evaluation.scoring import Graph
from perennial.training.estimators import own_estimator
from perennial.training.export import export
from perennial.training.parity import check_parity
from perennial.training.pipeline import fit
from perennial.training.scoring import score
from tests.local.shop import write_catalog
from tests.unit.training.made import rows_of, spec_of, table
from tests.unit.training.own import SOURCES


def trained(algorithm: str, task: str, **params: Any) -> tuple[Any, bytes, Any, Any, Any]:
    plain = spec_of("ridge" if task == "regression" else "logistic_regression", task)
    spec = plain.model_copy(update={"train": plain.train.model_copy(update={"algorithm": algorithm, "params": params})})
    features, rows = rows_of(spec, table())
    pipeline = fit(spec, features, rows.features, rows.label, 7, SOURCES)
    return pipeline, export(pipeline, features, task), features, rows.features, rows.label


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_classifier_of_the_docs_converts_and_keeps_parity(task: str) -> None:
    pipeline, model, features, frame, label = trained("nearest:NearestMean", task, temperature=2.0)
    evidence = check_parity(pipeline, model, features, frame, label, task)
    assert evidence["worst"] <= 1e-6
    assert pipeline.named_steps["model"].temperature == 2.0
    answers = score(Graph(model), frame)
    assert (answers.argmax(axis=1) == label).mean() > (0.6 if task == "binary" else 0.4)


def test_a_regressor_in_a_package_may_import_its_neighbours() -> None:
    pipeline, model, features, frame, label = trained("team.line:Shrunk", "regression", amount=0.01)
    assert check_parity(pipeline, model, features, frame, label, "regression")["rows"] == len(frame)
    assert pipeline.named_steps["model"].random_state == 7
    assert np.corrcoef(score(Graph(model), frame)[:, 0], label)[0, 1] > 0.5


def test_a_converter_that_is_wrong_is_stopped_by_the_parity_gate() -> None:
    pipeline, model, features, frame, label = trained("team.line:Shrunk", "regression", twist=0.01)
    with pytest.raises(ParityFailed, match="rows differ by more than"):
        check_parity(pipeline, model, features, frame, label, "regression")


def test_a_parameter_that_the_class_does_not_have_is_named() -> None:
    with pytest.raises(CatalogInvalid, match=r"train\.params has 'warmth'"):
        trained("nearest:NearestMean", "binary", warmth=1)


@pytest.mark.parametrize(
    ("reference", "sources", "error", "words"),
    [
        ("sklearn.linear_model:Lasso", SOURCES, EstimatorUnknown, "no such module in the catalog's estimators"),
        ("os:system", {}, EstimatorUnknown, "no such module"),
        ("nearest:Nobody", SOURCES, EstimatorUnknown, "has no Nobody"),
        ("nearest:np", SOURCES, CatalogInvalid, "no scikit-learn estimator"),
        ("team.line:Shrunk", SOURCES, CatalogInvalid, "it lacks ['predict_proba']"),
        ("broken:A", {"broken.py": "class A(:"}, CatalogInvalid, "estimators/broken.py: SyntaxError"),
        ("needy:A", {"needy.py": "import tensorflow"}, CatalogInvalid, "ModuleNotFoundError"),
        ("json:A", {"json.py": "A = 1"}, CatalogInvalid, "json: the name of an installed package"),
        ("numpy.own:A", {"numpy/own.py": "A = 1"}, CatalogInvalid, "numpy: the name of an installed package"),
    ],
)  # fmt: skip
def test_what_is_no_estimator_of_the_catalog(
    reference: str, sources: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as refused:
        own_estimator(reference, "binary", sources)
    assert words in str(refused.value)


def test_another_catalog_brings_its_own_modules() -> None:
    source = "from sklearn.linear_model import LogisticRegression\nclass A(LogisticRegression):\n    made = {}\n"
    first = own_estimator("shared:A", "binary", {"shared.py": source.format(1)})
    second = own_estimator("shared:A", "binary", {"shared.py": source.format(2)})
    assert (first.made, second.made) == (1, 2)
    own_estimator("other:A", "binary", {"other.py": source.format(3)})
    assert "shared" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("shared")


def catalog(directory: Path, algorithm: str = "nearest:NearestMean") -> Path:
    write_catalog(directory)
    spec = directory / "models" / "returns.yaml"
    spec.write_text(spec.read_text("utf-8").replace("logistic_regression", algorithm), encoding="utf-8")
    for name, text in SOURCES.items():
        (directory / "estimators" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "estimators" / name).write_text(text, encoding="utf-8")
    return directory


def test_the_catalog_carries_the_code_and_its_digest_changes_with_it(tmp_path: Path) -> None:
    found = read_catalog(catalog(tmp_path))
    assert found.estimators == SOURCES
    (tmp_path / "estimators" / "nearest.py").write_text("# another", encoding="utf-8")
    assert read_catalog(tmp_path).sha256 != found.sha256


def test_a_spec_that_names_a_module_which_the_catalog_lacks_is_refused_when_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(CatalogInvalid, match=r"no estimators/sklearn/svm.py \(own estimators come from the reviewed"):
        read_catalog(catalog(tmp_path, "sklearn.svm:SVC"))


@pytest.mark.parametrize("algorithm", ["../x:A", "a.b", "a:b:c", "a b:C", "magic", ""])
def test_a_name_that_is_none_is_refused(tmp_path: Path, algorithm: str) -> None:
    with pytest.raises(CatalogInvalid, match="algorithm"):
        read_catalog(catalog(tmp_path, f'"{algorithm}"'))
