"""`python -m worker.cli` is `customer-context`."""

from worker.cli import main

main()
