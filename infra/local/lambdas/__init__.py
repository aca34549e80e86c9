"""AWS Lambda of the local cloud: its own control plane, and functions as processes on the real runtime client."""
