"""`python -m retro_contest` is the command `retro-contest`."""

import sys

from retro_contest.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
