"""AWS Lambda of the local cloud: its own control plane, and functions as processes on the real runtime client."""

from infra.local.lambdas.service import LambdaService

__all__ = ["LambdaService"]
