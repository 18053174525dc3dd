"""Start the fuzzing: ``python tests/fuzz/run.py [TARGET...] (--seconds N | --runs N)``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.running import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
