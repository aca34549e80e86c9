"""Perennial beside its peers: CPU time, contenders interleaved in one run, medians of paired ratios."""
