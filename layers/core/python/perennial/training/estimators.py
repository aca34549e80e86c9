"""A team's own estimators: Python of the catalog's folder `estimators`, which people review and the deployment ships.

Modules are made from the catalog's text in memory. Nothing is loaded from data, bundles or paths, and no module of the
catalog can take the place of an installed one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import CodeType, ModuleType
from typing import Any

from perennial.errors import CatalogInvalid, EstimatorUnknown


def own_estimator(reference: str, task: str, sources: Mapping[str, str]) -> Any:
    """The class that `my_package.my_module:MyEstimator` names among `sources` (path → text).

    Raises EstimatorUnknown when there is none, CatalogInvalid when it cannot be loaded or is no estimator of the task.
    """
    module, _, name = reference.partition(":")
    finder = CatalogFinder(sources)
    if finder.file_of(module) is None:
        raise EstimatorUnknown(f"{reference}: no such module in the catalog's estimators; there are {sorted(sources)}")
    _install(finder)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise CatalogInvalid(f"estimators/{finder.file_of(module)}: {type(error).__name__}: {error}") from error
    if found is None:
        raise EstimatorUnknown(f"{reference}: module {module} of the catalog's estimators has no {name}")
    needed = ("fit", "get_params", "set_params", "predict" if task == "regression" else "predict_proba")
    missing = [method for method in needed if not callable(getattr(found, method, None))]
    if missing or not isinstance(found, type):
        raise CatalogInvalid(
            f"{reference}: no scikit-learn estimator for a {task} task: it lacks {missing or 'a class'}"
        )
    return found


class CatalogFinder(MetaPathFinder, InspectLoader):
    """Finds and loads modules among texts by path: `a/b.py`, `a/__init__.py`; a folder is a package."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self.sources = sources

    @property
    def roots(self) -> set[str]:
        """The top-level names of the modules."""
        return {path.split("/")[0].removesuffix(".py") for path in self.sources}

    def file_of(self, fullname: str) -> str | None:
        """The path of a module's text; "" for a folder without `__init__.py`, None when there is no such module."""
        base = fullname.replace(".", "/")
        for path in (f"{base}/__init__.py", f"{base}.py"):
            if path in self.sources:
                return path
        return "" if self.is_package(fullname) else None

    def is_package(self, fullname: str) -> bool:
        """Whether modules lie below that name."""
        return any(path.startswith(fullname.replace(".", "/") + "/") for path in self.sources)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As the import system asks."""
        file = self.file_of(fullname)
        return None if file is None else spec_from_loader(fullname, self, origin=f"estimators/{file}")

    def get_source(self, fullname: str) -> str:
        """As the import system asks."""
        return self.sources[file] if (file := self.file_of(fullname)) else ""

    def get_code(self, fullname: str) -> CodeType:
        """As the import system asks; tracebacks name the catalog's file."""
        return self.source_to_code(self.get_source(fullname), f"estimators/{self.file_of(fullname)}")


def _install(finder: CatalogFinder) -> None:
    """Make the modules importable, in place of those of another catalog."""
    if any(isinstance(one, CatalogFinder) and one.sources == finder.sources for one in sys.meta_path):
        return
    for former in [one for one in sys.meta_path if isinstance(one, CatalogFinder)]:
        sys.meta_path.remove(former)
        for name in [name for name in sys.modules if name.split(".")[0] in former.roots]:
            del sys.modules[name]
    taken = sorted(root for root in finder.roots if root in sys.modules or find_spec(root) is not None)
    if taken:
        raise CatalogInvalid(f"estimators: {', '.join(taken)}: the name of an installed package; choose another")
    sys.meta_path.append(finder)
