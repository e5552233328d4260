"""A real orchestrator for a kici_gql server: runs agents on this machine and keeps their place in the fleet.

    KICI_GQL_TOKEN=kgq_… python examples/local_orchestrator.py --url http://127.0.0.1:8080 --cluster lab --agents 4

The code is in ``orchestrator/`` beside this file; README.md says what it does when things go wrong.
"""

import sys

from orchestrator.program import main

if __name__ == "__main__":
    sys.exit(main())
