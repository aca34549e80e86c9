"""A person says whether a model version may be deployed: who asks, who may decide, and what comes of it."""
