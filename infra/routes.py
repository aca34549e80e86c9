"""The routes of the HTTP API that are the same whatever is served; perennial.openapi says what they take."""

from __future__ import annotations

# Method and path
Route = tuple[str, str]

# What the models function answers. A full match with variables goes before a greedy one, so that questions about
# versions never reach the champion.
MODELS = (
    ("GET", "/v2"),
    ("GET", "/v2/openapi.json"),
    ("GET", "/v2/health/{probe}"),
    ("GET", "/v2/models"),
    ("ANY", "/v2/models/{model}"),
    ("ANY", "/v2/models/{model}/versions"),
    ("ANY", "/v2/models/{model}/versions/{version}"),
    ("ANY", "/v2/models/{model}/versions/{version}/{action}"),
)

# What became of predictions: a full match too, and any method, so that none of them reaches the champion.
FEEDBACK = (("ANY", "/v2/models/{model}/feedback"),)

# What people decide.
DECISIONS = (("GET", "/approvals"), ("POST", "/approvals/{model}/{version}"), ("POST", "/promotions"))

# What people take back.
ROLLBACKS = (("POST", "/rollbacks/{model}"),)

# What people want trained.
RETRAINS = (("POST", "/retrains/{model}"),)
