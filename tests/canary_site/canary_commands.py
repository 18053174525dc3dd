"""Runs the command many times in one process: once for each line of standard input, which has its arguments."""

import sys

from oauth_helper.cli import main

for line in sys.stdin.read().splitlines():
    main(line.split())
