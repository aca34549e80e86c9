"""The local cloud: the second target of the deployed template, on moto and real processes."""
