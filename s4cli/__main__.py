"""`python -m s4cli` does what `s4` does."""

import sys
from pathlib import Path

# `python -m` looks into the current folder first. A run folder of the name s4net there must not be taken for a package.
_PACKAGES = Path(__file__).resolve().parent.parent
if not sys.flags.safe_path and Path(sys.path[0]).resolve() != _PACKAGES:
    del sys.path[0]

from s4cli.main import main  # noqa: E402 - after the path is set right

if __name__ == "__main__":
    sys.exit(main())
