"""A process that does one thing to a lake, and is killed at a write of its choice.

Every write there is (a blob, a commit, a deletion, a table's creation) gives two points, one before it and one after.

    python -m tests.chaos.driver FOLDER WORK [NUMBER]

WORK is ``run``, ``gc``, ``forget``, or ``ingest:`` and folders below the corpus with commas between them; without a
NUMBER nobody is killed, and the points are printed as a JSON list.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from flows import flows
from infra.blobs import _ObstoreBlobs
from schemas.config import Config, Runs
from tests.integration.mill import Mill


class Reaper:
    """Counts points, and kills this process at one of them."""

    def __init__(self, number: int | None) -> None:
        self._number = number
        self.points: list[str] = []

    def watch(self, owner: type, method: str, name_of: Callable[..., str]) -> None:
        """Make each call of a method two points."""
        real = getattr(owner, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            name = f"{method} {name_of(*args, **kwargs)}"
            self._point(f"before {name}")
            result = real(*args, **kwargs)
            self._point(f"after {name}")
            return result

        setattr(owner, method, watched)

    def _point(self, name: str) -> None:
        if len(self.points) == self._number:
            os.kill(os.getpid(), signal.SIGKILL)
        self.points.append(name)


def watch_everything(reaper: Reaper) -> None:
    """The two ways into a lake: blobs and delta-rs."""
    for method in ("put", "put_if_absent", "delete"):
        reaper.watch(_ObstoreBlobs, method, lambda _, key, *rest: _kind(key))
    for method in ("create_write_transaction", "vacuum", "create_checkpoint"):
        reaper.watch(DeltaTable, method, lambda table, *args, **kwargs: _table(table.table_uri))
    create = DeltaTable.create

    def watched(url: str, *args: Any, **kwargs: Any) -> DeltaTable:
        reaper._point(f"before create {_table(url)}")
        table = create(url, *args, **kwargs)
        reaper._point(f"after create {_table(url)}")
        return table

    DeltaTable.create = staticmethod(watched)


def _kind(key: str) -> str:
    """A key without what differs from run to run."""
    return re.sub(r"[0-9a-fT-]{12,}[^/]*|\d{6,}", "*", key)


def _table(url: str) -> str:
    return url.rstrip("/").partition("/tables/")[2]


def work(mill: Mill, what: str) -> None:
    """Do it as the commands do."""
    if what == "run":
        mill.ingest()
        mill.publish()
    elif what.startswith("ingest:"):
        mill.sources = [str(mill.corpus / name) for name in what.partition(":")[2].split(",")]
        mill.ingest()
    elif what == "gc":
        flows.gc(mill.lake.url, Config(runs=Runs(keep_snapshots=1)), quiet=True)
    else:
        mill.forget("*private*")


def main() -> None:
    """See above."""
    folder, what, *number = sys.argv[1:]
    reaper = Reaper(int(number[0]) if number else None)
    watch_everything(reaper)
    work(Mill(Path(folder), commit_rows=1), what)
    sys.stdout.write(json.dumps(reaper.points) + "\n")


if __name__ == "__main__":
    main()
