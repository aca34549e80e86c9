"""Rollout: a registered version goes live, or everything goes back."""
