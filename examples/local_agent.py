"""The program that an agent process runs. ``local_orchestrator.py`` starts it; by hand it only says so."""

import sys

from orchestrator.agent import main

if __name__ == "__main__":
    sys.exit(main())
