"""`python -m scripts.cli`: what `.venv/bin/perennial` starts."""

from scripts.cli.main import main

main()
