"""`python -m s4cli` does what `s4` does."""

import sys

from s4cli.main import main

if __name__ == "__main__":
    sys.exit(main())
