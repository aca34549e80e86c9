"""Building blocks of the stacks: what every bucket, function, layer and queue has in common."""
