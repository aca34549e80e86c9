"""The state machines, as chains that read as sentences."""
