"""The public API of a notebook or a serving team. A facade: no logic lives here.

>>> import gristmill
>>> retriever = gristmill.open_retriever("lake")          # the published snapshot with its encoders
>>> retriever.search("how does the mill wheel turn?").hits
>>> retriever.search("mill", where=["attributes.year >= 2020"], acl=["staff"]).hits    # docs/filters.md
>>> snapshot = gristmill.open_snapshot("lake")            # faiss, numpy and pyarrow alone
>>> snapshot.search(gristmill.Partition("text", "paragraph"), space, vectors, k=10)
>>> gristmill.run(["corpus"], "lake")                     # ingest, index, publish
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from schemas.partition import Partition

if TYPE_CHECKING:
    from flows.flows import RunSummary, run
    from flows.serving import Serving, open_snapshot
    from flows.wiring import open_retriever
    from schemas.config import Config
    from schemas.filters import Filter
    from schemas.search import Hit, Route, SearchResult
    from stages.index.snapshot import OpenSnapshot
    from stages.route.search import Retriever

# Loaded on first use: opening a snapshot must not need what running a pipeline needs.
_LAZY: Final = {
    "Config": "schemas.config",
    "Filter": "schemas.filters",
    "Hit": "schemas.search",
    "OpenSnapshot": "stages.index.snapshot",
    "Retriever": "stages.route.search",
    "Route": "schemas.search",
    "RunSummary": "flows.flows",
    "SearchResult": "schemas.search",
    "Serving": "flows.serving",
    "open_retriever": "flows.wiring",
    "open_snapshot": "flows.serving",
    "run": "flows.flows",
}

__all__ = [
    "Config",
    "Filter",
    "Hit",
    "OpenSnapshot",
    "Partition",
    "Retriever",
    "Route",
    "RunSummary",
    "SearchResult",
    "Serving",
    "open_retriever",
    "open_snapshot",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module gristmill has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)
