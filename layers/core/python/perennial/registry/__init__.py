"""Model versions and which of them serves."""

from perennial.registry.models import Champion, DatasetUse, ModelVersion
from perennial.registry.registry import Registry

__all__ = ["Champion", "DatasetUse", "ModelVersion", "Registry"]
