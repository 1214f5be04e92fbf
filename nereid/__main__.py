"""`python -m nereid`: the command."""

from nereid.cli import main

main()
