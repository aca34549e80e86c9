"""What was decided, by whom, on what evidence: the ledger and lineage."""
