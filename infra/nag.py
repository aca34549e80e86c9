"""cdk-nag's rule packs over the whole app; findings land in the assembly's policy-validation-report.json."""

from __future__ import annotations

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks


def check(app: cdk.App) -> None:
    """Check every resource while synthesizing."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
