"""`python -m espcn_demo` is the command `espcn`."""

import sys

from espcn_demo.cli import main

if __name__ == "__main__":
    sys.exit(main())
