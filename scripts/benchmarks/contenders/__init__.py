"""What is measured, one module per contender. Each runs in a process of its own, some in a peer's environment: they
import nothing of the project but what they measure."""
