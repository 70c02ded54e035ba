"""`python -m cjd.cli`: the same as `cjd`."""

import sys

from cjd.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
