"""Names and ARNs of functions, as the Lambda API accepts them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra.local.lambdas.errors import InvalidParameter, ValidationError

LATEST = "$LATEST"

# name, partial ARN (account:function:name) or ARN, each with an optional qualifier
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_RequestParameters
NAME = re.compile(
    r"^(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-[a-z]+)+-\d{1}:)?(?:\d{12}:)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9-_]{1,128}))?$"
)
LAYER_VERSION = re.compile(
    r"^(?P<layer>arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:layer:[a-zA-Z0-9-_]+):(?P<version>\d+)$"
)
LAYER = re.compile(r"^(?:arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:layer:)?(?P<name>[a-zA-Z0-9-_]{1,140})$")
ALIAS = re.compile(r"^(?!^[0-9]+$)[a-zA-Z0-9-_]{1,128}$")


@dataclass(frozen=True)
class Reference:
    """A function as a caller names it; `qualifier` is a version, an alias or None."""

    name: str
    qualifier: str | None = None

    @classmethod
    def parse(cls, text: str, qualifier: str | None = None) -> Reference:
        """Read a name or ARN and the `Qualifier` parameter; raises ApiError when they are malformed or contradict."""
        match = NAME.match(text)
        if not match:
            raise ValidationError(
                f"1 validation error detected: Value '{text}' at 'functionName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern of a function name or ARN"
            )
        inline = match["qualifier"]
        if inline and qualifier and inline != qualifier:
            raise InvalidParameter(
                "The derived qualifier from the function name does not match the specified qualifier."
            )
        return cls(match["name"], qualifier or inline)


@dataclass(frozen=True)
class Place:
    """Account and region: the prefix of every ARN."""

    region: str
    account: str

    def function(self, name: str, qualifier: str | None = None) -> str:
        """ARN of a function, version or alias."""
        base = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"
        return f"{base}:{qualifier}" if qualifier else base

    def layer(self, name: str) -> str:
        """ARN of a layer, without version."""
        return f"arn:aws:lambda:{self.region}:{self.account}:layer:{name}"
