"""Own estimators for tests; the classifier is the one of docs/own-model.md, word for word."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[3] / "docs" / "own-model.md"
CLASSIFIER: str = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[0]

# A straight line through the medians: no class of scikit-learn, with a converter of its own. `twist` breaks the graph.
REGRESSOR = """
import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxAdd, OnnxMatMul
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.base import BaseEstimator, RegressorMixin

from team.shrink import shrunk


class Shrunk(RegressorMixin, BaseEstimator):
    def __init__(self, amount=1.0, twist=0.0, random_state=None):
        self.amount, self.twist, self.random_state = amount, twist, random_state

    def fit(self, X, y):
        self.middle_ = float(np.median(y))
        self.weights_ = shrunk(X, y - self.middle_, self.amount)
        return self

    def predict(self, X):
        return X @ self.weights_ + self.middle_


def _shapes(operator):
    operator.outputs[0].type = DoubleTensorType([operator.inputs[0].get_first_dimension(), 1])


def _convert(scope, operator, container):
    model, opset = operator.raw_operator, container.target_opset
    product = OnnxMatMul(operator.inputs[0], model.weights_.reshape(-1, 1), op_version=opset)
    offset = np.array([[model.middle_ + model.twist]])
    OnnxAdd(product, offset, op_version=opset, output_names=operator.outputs[:1]).add_to(scope, container)


update_registered_converter(Shrunk, "TeamShrunk", _shapes, _convert)
"""
SHRINK = """
import numpy as np


def shrunk(X, y, amount):
    return np.linalg.solve(X.T @ X + amount * len(X) * np.eye(X.shape[1]), X.T @ y)
"""
SOURCES = {"nearest.py": CLASSIFIER, "team/__init__.py": "", "team/line.py": REGRESSOR, "team/shrink.py": SHRINK}
