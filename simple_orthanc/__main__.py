"""``python -m simple_orthanc``: the command line."""

import sys

from simple_orthanc.cli import main

if __name__ == "__main__":
    sys.exit(main())
