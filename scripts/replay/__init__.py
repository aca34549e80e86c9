"""`scripts/demo --year`: a year of an example, month by month, through the whole loop on the local cloud."""
