"""Three example searches in the sample corpus: ``python samples/demo.py LAKE``."""

from __future__ import annotations

import sys
from typing import Final

import gristmill
from flows.show import show_hits

# One answer is on a page of a scan, one is a photo, one is a moment of a film.
QUERIES: Final = (
    "leather buckets filled with sand on the stairs",
    "a photo of a cat",
    "a film of how grain becomes flour",
)


def main(lake: str) -> None:
    """Print the routes and the first three hits of each query, as `gristmill search` does."""
    retriever = gristmill.open_retriever(lake)
    for query in QUERIES:
        sys.stdout.write(f'\n$ gristmill search "{query}" --lake {lake} --k 3\n')
        sys.stdout.flush()
        show_hits(query, retriever.search(query, k=3))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python samples/demo.py LAKE")
    main(sys.argv[1])
