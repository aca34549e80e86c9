"""A first catalog from one data file: what people review instead of writing it.

header → survey (every value once, bounded memory) → roles (and leaks, measured) → trial (the same code that trains) →
contract and model spec as YAML with the reasons beside each line.
"""
