"""The public API of a notebook or a serving team. A facade: no logic lives here.

>>> import gristmill
>>> retriever = gristmill.open_retriever("lake")          # the published snapshot with its encoders
>>> retriever.search("how does the mill wheel turn?").hits
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
    from flows.wiring import open_retriever, open_snapshot
    from schemas.config import Config
    from schemas.search import Hit, Route, SearchResult
    from stages.index.snapshot import OpenSnapshot
    from stages.route.search import Retriever

# Loaded on first use: opening a snapshot must not need what running a pipeline needs.
_LAZY: Final = {
    "Config": "schemas.config",
    "Hit": "schemas.search",
    "OpenSnapshot": "stages.index.snapshot",
    "Retriever": "stages.route.search",
    "Route": "schemas.search",
    "RunSummary": "flows.flows",
    "SearchResult": "schemas.search",
    "open_retriever": "flows.wiring",
    "open_snapshot": "flows.wiring",
    "run": "flows.flows",
}

__all__ = [
    "Config",
    "Hit",
    "OpenSnapshot",
    "Partition",
    "Retriever",
    "Route",
    "RunSummary",
    "SearchResult",
    "open_retriever",
    "open_snapshot",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module gristmill has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)
