"""The governor: what arrived, what it decides about a training, and the single flight per model."""
