"""A process that does pieces of work on lakes, each in a forked child, which is killed where it is told to be.

Every write there is (a blob, a commit, a deletion, a table's creation) gives two points, one before it and one after.
The parent has loaded the models and never touches a lake, so that a child starts at once and inherits no thread.

    python -m tests.chaos.driver

reads requests from stdin and answers each on stdout, a JSON object a line; see `tests.chaos.forks`.
"""

import json
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from deltalake import DeltaTable

from flows.listing import hash_files, list_sources
from flows.maintain import collect
from flows.reindex import Reindexing
from flows.spaces import drop_space
from flows.surroundings import new_run_id
from infra.blobs import _ObstoreBlobs
from schemas.config import Config, Engine, Indexing, Profile, Recognition, Runs, Segmentation
from stages.messages import DecodeRequest, EmbedRequest
from tests.chaos.lakes import write_pdf, write_png
from tests.integration.mill import Mill, session_of

CONFIG = Config(
    engine=Engine(commit_rows=1),  # every source is a batch of its own
    recognition=Recognition(ocr=False, speech=False, sound_tags=False),
    runs=Runs(keep_snapshots=1),
)

# Thresholds so low that a handful of texts has segments that stay, tombstones, merges and training.
GROWING = CONFIG.model_copy(
    update={
        "indexing": Indexing(
            flat_rows=60,
            segment_rows=60,
            merge_floor_rows=6,
            merge_segments=3,
            retrain_growth=4.0,
            recall_at_10=0.9,
        ),
        "runs": Runs(keep_snapshots=4),
    }
)


KEEPING = CONFIG.model_copy(update={"engine": Engine(commit_rows=1, keep_payloads=True)})
KEEPING_CONTENT = CONFIG.model_copy(update={"engine": Engine(commit_rows=1, keep_content=True)})
CUT_SHORT = KEEPING_CONTENT.model_copy(update={"segmentation": Segmentation(paragraph_words=10)})
TEXT_ALONE = CONFIG.model_copy(update={"profile": Profile(spaces=("minilm",))})
CONFIGS = {
    "plain": CONFIG,
    "growing": GROWING,
    "keeping": KEEPING,
    "keeping content": KEEPING_CONTENT,
    "cut short": CUT_SHORT,
    "text alone": TEXT_ALONE,
}


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
            self.point(f"before {name}")
            result = real(*args, **kwargs)
            self.point(f"after {name}")
            return result

        setattr(owner, method, watched)

    def point(self, name: str) -> None:
        """A place to die at."""
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
        reaper.point(f"before create {_table(url)}")
        table = create(url, *args, **kwargs)
        reaper.point(f"after create {_table(url)}")
        return table

    DeltaTable.create = staticmethod(watched)


def _kind(key: str) -> str:
    """A key without what differs from run to run."""
    return re.sub(r"[0-9a-fT-]{12,}[^/]*|\d{6,}", "*", key)


def _table(url: str) -> str:
    return url.rstrip("/").partition("/tables/")[2]


def work(folder: Path, what: str, names: list[str], config: Config) -> dict[str, Any]:
    """Do it as the commands do; gives the balance, if there is one.

    Args:
        folder: Holds the corpus and the lake.
        what: ``ingest`` of some folders below the corpus or all of it, ``run`` (and publish), ``gc``, ``hide`` or
            ``purge`` of some paths, ``reindex`` in a space, or of what is cut otherwise now, ``drop`` of a space.
        names: Those folders, paths or spaces.
        config: See schemas/config.py.
    """
    mill = Mill(folder, config)
    if what in ("run", "ingest"):
        mill.sources = [str(mill.corpus / name) for name in names or ["."]]
        balance = mill.ingest()
        if what == "run" and mill.lake.counts()["units"]:
            mill.publish()
        return balance.as_dict()
    if what == "reindex":
        return mill.reindex(Reindexing(*names)).as_dict()
    if what == "drop":
        drop_space(mill.lake.url, names[0], config)
    elif what == "gc":
        collect(mill.lake.url, config, new_run_id(), dry_run=False, note=lambda _: None)
    elif what == "hide":
        mill.hide(*names)
    else:
        mill.forget(*names)
    return {}


def child(request: dict[str, Any], answer: int) -> None:
    """Do one request, and say which points there were."""
    reaper = Reaper(request["number"])
    watch_everything(reaper)
    if request["after_s"] is not None:
        moment = threading.Timer(request["after_s"], os.kill, (os.getpid(), signal.SIGKILL))
        moment.daemon = True
        moment.start()
    status, balance = 1, {}
    try:
        config = CONFIGS[request["config"]]
        balance = work(Path(request["folder"]), request["what"], request["names"], config)
        status = 0
    except Exception:  # noqa: BLE001 - the end of a process: the trace goes where its caller finds it
        traceback.print_exc()
    with os.fdopen(answer, "w") as file:
        json.dump({"points": reaper.points, "balance": balance}, file)
    sys.stderr.flush()
    os._exit(status)


def fork(request: dict[str, Any]) -> dict[str, Any]:
    """Have one request done; gives how it ended and, unless it was killed, its points and balance."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        child(request, write)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    return {"status": os.waitstatus_to_exitcode(status)} | json.loads(said or "{}")


def warm_up() -> None:
    """Load models and decoders, which is most of what a start takes."""
    session = session_of(CONFIG)
    text, pixels = Mill.spaces_of(CONFIG)
    frame = np.zeros((1, pixels.frame_size, pixels.frame_size, 3), np.uint8)
    with TemporaryDirectory() as folder:
        for write, name in [(write_pdf, "page.pdf"), (write_png, "picture.png")]:
            write(Path(folder) / name, name)
        for file, _ in hash_files(list_sources([folder]).files):
            session.submit("decode", file.path, DecodeRequest(file))
        session.submit("embed", "text", EmbedRequest(text.key, "a mill"), group=text.key)
        frames = session.put([frame])
        session.submit("embed", "frame", EmbedRequest(pixels.key), arrays=frames, group=pixels.key)
        session.flush("embed")
        while session.pending():
            session.poll(60)


def main() -> None:
    """See above."""
    warm_up()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(fork(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
