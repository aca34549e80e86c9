"""The command line, one file per verb; works the same against AWS and against the local cloud."""
