"""What the HTTP API can be asked: every method and path, what it takes and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Operation:
    """`answers` names the schema of each status, `takes` that of the body. Errors are the same for all: not listed."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    answers: dict[int, str] = field(default_factory=dict)
    takes: str | None = None

    @property
    def infers(self) -> bool:
        """Whether it takes and gives tensors, which may be binary."""
        return self.takes == "InferenceRequest"


OPERATIONS = (
    Operation("server", "GET", "/v2", "server", "Name, version and extensions of the server", {200: "Server"}),
    Operation(
        "openapi", "GET", "/v2/openapi.json", "server", "This document, with the models that serve", {200: "Any"}
    ),
    Operation("live", "GET", "/v2/health/live", "server", "Whether the server answers", {200: "Live"}),
    Operation(
        "ready",
        "GET",
        "/v2/health/ready",
        "server",
        "Whether every model of the catalog serves",
        {200: "Ready", 400: "NotReady"},
    ),
    Operation("models", "GET", "/v2/models", "models", "The models of the catalog", {200: "Models"}),
    Operation("model", "GET", "/v2/models/{model}", "models", "What a model takes and answers", {200: "Metadata"}),
    Operation("modelReady", "GET", "/v2/models/{model}/ready", "models", "Whether it serves", {200: "ModelReady"}),
    Operation(
        "infer",
        "POST",
        "/v2/models/{model}/infer",
        "inference",
        "Predictions of the version that serves",
        {200: "InferenceResponse"},
        "InferenceRequest",
    ),
    Operation("versions", "GET", "/v2/models/{model}/versions", "models", "Its versions", {200: "Versions"}),
    Operation(
        "version",
        "GET",
        "/v2/models/{model}/versions/{version}",
        "models",
        "What a version takes and answers",
        {200: "Metadata"},
    ),
    Operation(
        "versionReady",
        "GET",
        "/v2/models/{model}/versions/{version}/ready",
        "models",
        "Whether a version answers",
        {200: "ModelReady"},
    ),
    Operation(
        "inferVersion",
        "POST",
        "/v2/models/{model}/versions/{version}/infer",
        "inference",
        "Predictions of one version",
        {200: "InferenceResponse"},
        "InferenceRequest",
    ),
    Operation(
        "feedback",
        "POST",
        "/v2/models/{model}/feedback",
        "feedback",
        "Record what became of predictions, all of it or nothing",
        {200: "Recorded"},
        "Feedback",
    ),
    Operation("approvals", "GET", "/approvals", "approval", "What waits for a person", {200: "Approvals"}),
    Operation(
        "decide",
        "POST",
        "/approvals/{model}/{version}",
        "approval",
        "Approve or reject a version",
        {200: "Decided"},
        "Decision",
    ),
    Operation(
        "promote",
        "POST",
        "/promotions",
        "approval",
        "Start the promotion of a version that another environment registered",
        {200: "Promoted"},
        "Promotion",
    ),
    Operation(
        "rollback",
        "POST",
        "/rollbacks/{model}",
        "rollout",
        "Take back a version that serves or is being rolled out",
        {200: "RolledBack"},
        "Rollback",
    ),
    Operation(
        "retrain",
        "POST",
        "/retrains/{model}",
        "training",
        "Ask for a training; the governor starts it, or says why not",
        {200: "Retrained"},
        "Retrain",
    ),
)


def allowed(path: str) -> list[str]:
    """The methods that a path takes, sorted; none for a path that there is not."""
    parts = path.split("/")
    return sorted({one.method for one in OPERATIONS if _covers(one.path.split("/"), parts)})


def _covers(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        part == given or (part.startswith("{") and given != "") for part, given in zip(pattern, parts, strict=True)
    )
