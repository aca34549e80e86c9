"""Model versions and which of them serves."""

from perennial.registry.models import Carrier, Champion, DatasetUse, Experiment, ModelVersion
from perennial.registry.registry import Registry

__all__ = ["Carrier", "Champion", "DatasetUse", "Experiment", "ModelVersion", "Registry"]
