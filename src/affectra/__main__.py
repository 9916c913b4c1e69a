"""`python -m affectra`."""

import sys

from affectra.cli import main

if __name__ == "__main__":
    sys.exit(main())
