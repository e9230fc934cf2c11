"""`python -m experts.retrieval`: indexes files into a collection, searches it, measures how well passages are found."""

from __future__ import annotations

import sys

from experts.retrieval.command import main

if __name__ == "__main__":
    sys.exit(main())
