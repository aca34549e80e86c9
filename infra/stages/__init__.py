"""One file per stage: the function or task that runs it, and exactly what it may touch."""
