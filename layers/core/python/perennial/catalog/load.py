"""The whole catalog: from a directory (people, CDK) or from the zip that the deployment carries (stages)."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from perennial.catalog.contract import Column, Contract, parse_contract
from perennial.catalog.model import ModelSpec, parse_model
from perennial.errors import CatalogInvalid, DatasetUnknown, ModelUnknown
from perennial.storage.objects import Objects

# Of the contract's types, those that a graph takes (perennial.training.features lays them out), and its numbers.
FEATURE_TYPES = frozenset({"string", "integer", "number", "boolean"})
NUMERIC_TYPES = frozenset({"integer", "number"})
MAX_BYTES = 16 * 1024 * 1024
ESTIMATORS = "estimators/"
FOLDERS = frozenset({"contracts", "models", "estimators"})
# What is read; whatever is hidden goes into no asset (infra.assets.EXCLUDED).
_READ = re.compile(r"(?:contracts|models)/[^./][^/]*\.yaml|estimators/(?:[^./][^/]*/)*[^./][^/]*\.py")
_YAML = re.compile(r"(?:[^./][^/]*/)*[^./][^/]*\.ya?ml", re.IGNORECASE)


@dataclass(frozen=True)
class Catalog:
    """Contracts and models by name; `sha256` is the digest of all files in name order.

    `estimators` are the sources of the team's own estimators, by path below the folder `estimators`.
    """

    contracts: dict[str, Contract]
    models: dict[str, ModelSpec]
    sha256: str
    estimators: dict[str, str] = field(default_factory=dict)

    def contract(self, dataset: str) -> Contract:
        """The contract of a dataset. Raises DatasetUnknown, naming the datasets there are."""
        if dataset not in self.contracts:
            raise DatasetUnknown(f"no contract for dataset {dataset!r}; the catalog has {sorted(self.contracts)}")
        return self.contracts[dataset]

    def model(self, name: str) -> ModelSpec:
        """A model's spec. Raises ModelUnknown, naming the models there are."""
        if name not in self.models:
            raise ModelUnknown(f"no model {name!r}; the catalog has {sorted(self.models)}")
        return self.models[name]


def read_catalog(directory: Path, proposed: Mapping[str, str] | None = None) -> Catalog:
    """The catalog in a directory with `contracts/*.yaml`, `models/*.yaml` and perhaps `estimators/**/*.py`.

    `proposed` are texts by path that are not written yet: the catalog is what it would be with them. Raises
    CatalogInvalid, also for YAML that would not be read, folders of other names, and a catalog without contracts.
    """
    texts = {name: text.encode() for name, text in (proposed or {}).items()}
    names = {path.relative_to(directory).as_posix() for path in _visible(directory)} | set(texts)
    for name in sorted(names):
        if _YAML.fullmatch(name) and not _READ.fullmatch(name) and not name.startswith(ESTIMATORS):
            raise CatalogInvalid(f"{name}: would not be read; a catalog has contracts/*.yaml and models/*.yaml")
    read = sorted(name for name in names if _READ.fullmatch(name))
    if not any(name.startswith("contracts/") for name in read):
        raise CatalogInvalid(
            f"no contracts in {directory}: a catalog has contracts/<dataset>.yaml and models/<model>.yaml"
        )
    return _build((name, texts[name] if name in texts else (directory / name).read_bytes()) for name in read)


@lru_cache(maxsize=4)
def load_catalog(bucket: str, key: str) -> Catalog:
    """The catalog of this deployment; read once per process, since its key is its content. Raises CatalogInvalid."""
    with zipfile.ZipFile(io.BytesIO(Objects(bucket).get(key))) as archive:
        names = sorted(name for name in archive.namelist() if _READ.fullmatch(name))
        if sum(archive.getinfo(name).file_size for name in names) > MAX_BYTES:
            raise CatalogInvalid(f"s3://{bucket}/{key}: more than {MAX_BYTES} bytes of YAML and Python")
        return _build((name, archive.read(name)) for name in names)


def _visible(directory: Path) -> Iterator[Path]:
    """The files of a catalog. Raises CatalogInvalid for a folder that is none of its own."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else []:
        if path.is_file():
            yield path
        elif path.name in FOLDERS:
            yield from (file for file in path.rglob("*") if file.is_file())
        elif not path.name.startswith((".", "__pycache__")):
            raise CatalogInvalid(f"{path.name}/: no folder of a catalog; it has {', '.join(sorted(FOLDERS))}")


def _build(files: Iterable[tuple[str, bytes]]) -> Catalog:
    contracts: dict[str, Contract] = {}
    models: dict[str, ModelSpec] = {}
    sources: dict[str, str] = {}
    estimators: dict[str, str] = {}
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(name.encode() + b"\0" + content + b"\0")
        text = _text(name, content)
        if name.startswith("contracts/"):
            contract = parse_contract(text, name)
            if contract.name in contracts:
                raise CatalogInvalid(f"{name}: dataset {contract.name!r} has two contracts")
            contracts[contract.name] = contract
        elif name.startswith("models/"):
            spec = parse_model(text, name)
            if spec.name in models:
                raise CatalogInvalid(f"{name}: model {spec.name!r} has two specs")
            models[spec.name], sources[spec.name] = spec, name
        else:
            estimators[name.removeprefix(ESTIMATORS)] = text
    for names in (contracts, models):
        _check_hyphens(names)
    for spec in models.values():
        _check_model(spec, contracts, sources[spec.name])
        _check_estimator(spec, estimators, sources[spec.name])
    return Catalog(contracts, models, digest.hexdigest(), estimators)


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CatalogInvalid(f"{name}: the file is not UTF-8: {error}") from error


def _check_hyphens(names: Iterable[str]) -> None:
    """The template's resources are called after datasets and models, without hyphens."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(name.replace("-", ""), name)
        if other != name:
            raise CatalogInvalid(f"{other} and {name} differ by hyphens only: name one of them otherwise")


def _check_estimator(spec: ModelSpec, estimators: dict[str, str], source: str) -> None:
    module = spec.train.own_module
    if module is None:
        return
    base = module.replace(".", "/")
    if not {f"{base}.py", f"{base}/__init__.py"} & set(estimators):
        raise CatalogInvalid(
            f"{source}: model {spec.name}: train.algorithm {spec.train.algorithm!r}: the catalog has no "
            f"{ESTIMATORS}{base}.py (own estimators come from the reviewed catalog only, not from installed packages)"
        )


def _check_model(spec: ModelSpec, contracts: dict[str, Contract], source: str) -> None:
    """A model may only use columns of its dataset, of types that a graph takes, and as features only what is known
    when it predicts. `source` names the spec's file in errors.
    """
    about = f"{source}: model {spec.name}"
    if spec.dataset not in contracts:
        raise CatalogInvalid(f"{about}: no contract for dataset {spec.dataset!r}")
    columns = {column.name: column for column in contracts[spec.dataset].columns}
    for name in [spec.label.column, *spec.features]:
        if name not in columns:
            raise CatalogInvalid(f"{about}: dataset {spec.dataset} has no column {name!r}")
    _check_label(spec, columns[spec.label.column], about)
    _check_window(spec, contracts[spec.dataset], about)
    for name in spec.features:
        if not columns[name].available_at_prediction:
            raise CatalogInvalid(f"{about}: feature {name!r} is not availableAtPrediction in contract {spec.dataset}")
        if columns[name].type not in FEATURE_TYPES:
            raise CatalogInvalid(
                f"{about}: feature {name!r} is a {columns[name].type} in contract {spec.dataset}; "
                "features are strings, integers, numbers or booleans"
            )


def _check_window(spec: ModelSpec, contract: Contract, about: str) -> None:
    asked = [name for name in ("window", "maturity") if getattr(spec.train, name)]
    if asked and contract.event_time is None:
        raise CatalogInvalid(
            f"{about}: train.{asked[0]} goes by event time; no column of contract {spec.dataset} is marked eventTime"
        )


def _check_label(spec: ModelSpec, column: Column, about: str) -> None:
    numeric = spec.task == "regression" or spec.label.above is not None
    if numeric and column.type not in NUMERIC_TYPES:
        why = "a regression predicts numbers" if spec.task == "regression" else "label.above compares numbers"
        raise CatalogInvalid(f"{about}: label {column.name!r} is a {column.type} in contract {spec.dataset}; {why}")
    if column.type not in FEATURE_TYPES:
        raise CatalogInvalid(
            f"{about}: label {column.name!r} is a {column.type} in contract {spec.dataset}, so no class"
        )
