"""Run the command as ``python -m oauth_helper``."""

import sys

from oauth_helper.cli import main

if __name__ == "__main__":
    sys.exit(main())
