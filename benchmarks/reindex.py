"""Reindexing against a full run: seconds of each over one corpus, nothing else changed; and what kept content takes.

A full run (decode, recognise, embed, index, publish) makes a lake. Of a copy without snapshots all vectors of the text
space are taken out, and `reindex --space` makes them again: that is what a new text encoder of the same cost takes,
with the indices of every space. Then `reindex --resegment` cuts the first lake anew with shorter passages.

    python -m benchmarks.reindex FOLDER [--words N] [--work DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows import flows, wiring
from flows.maintain import collect
from flows.reindex import Reindexing
from flows.reindex_cost import foresee
from flows.surroundings import new_run_id
from infra.contents import KeptContents
from infra.lake import Lake
from schemas.config import Config, Engine, Segmentation

if TYPE_CHECKING:
    from schemas.balance import Balance

SPACE: Final = "minilm"
NOT_COPIED: Final = ("segments", "snapshots", "pointer", "building", "content", "locks")


def told(what: str, balance: Balance) -> dict[str, Any]:
    """One line of the table."""
    decode = balance.stages.get("decode")
    return {
        "what": what,
        "seconds": round(balance.seconds, 1),
        "files": balance.found,
        "decoded": decode.items if decode else 0,
        "embedded": sum(balance.vectors.values()),
        "reused": sum(balance.reused.values()),
    }


def without_space(lake_url: str, copy_url: str, config: Config) -> None:
    """A copy of a lake without snapshots and without any vector of the space."""
    shutil.copytree(lake_url, copy_url, ignore=shutil.ignore_patterns(*NOT_COPIED))
    lake = Lake.open(copy_url, create=False)
    (space,) = wiring.contracts(config, (SPACE,))
    lake.spaces.drop(space.key)
    collect(copy_url, config, new_run_id(), dry_run=False, note=print)


def kept_content(lake_url: str, config: Config) -> list[dict[str, Any]]:
    """Bytes of kept contents beside those of their sources, by kind of file."""
    lake = Lake.open(lake_url, create=False)
    sizes = lake.blobs.sizes("content")
    keys = KeptContents(lake.blobs, wiring.content_fingerprint(config)).kept()
    files = {known.source_id: known for known in lake.state().paths.values()}
    facts = lake.facts(keys)
    rows: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for source_id, key in keys.items():
        row = rows[facts[source_id].media_type]
        row[0] += 1
        row[1] += files[source_id].size_bytes
        row[2] += sizes[key]
    return [
        {"type": kind, "sources": n, "source_bytes": source, "content_bytes": content}
        for kind, (n, source, content) in sorted(rows.items())
    ]


def measure(folder: str, work: Path, words: int) -> dict[str, Any]:
    """Do all of it."""
    config = Config(engine=Engine(keep_content=True))
    lake_url, copy_url = str(work / "lake"), str(work / "copy")
    full = flows.run([folder], lake_url, config)
    without_space(lake_url, copy_url, config)
    what = Reindexing(SPACE)
    cost = foresee(copy_url, config, what)
    reindexed = flows.reindex(copy_url, config, what)
    content = kept_content(lake_url, config)
    cut = config.model_copy(update={"segmentation": Segmentation(paragraph_words=words)})
    recut = flows.reindex(lake_url, cut, Reindexing())
    return {
        "runs": [
            told("full run", full.balance),
            told(f"reindex --space {SPACE}", reindexed.balance),
            told(f"reindex --resegment, paragraph_words = {words}", recut.balance),
        ],
        "dry_run": cost.as_dict(),
        "kept_bytes_written": full.balance.kept_bytes,
        "content": content,
    }


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--work", type=Path, help="a new folder that keeps the lakes")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        found = measure(asked.folder, asked.work or Path(work), asked.words)
    if asked.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    print("| | seconds | files | decoded | embedded | reused |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in found["runs"]:
        print(
            "| "
            + " | ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in row.values())
            + " |"
        )
    print("\n| content of | sources | MB | content, MB | share |\n|---|---:|---:|---:|---:|")
    for row in found["content"]:
        source, content = row["source_bytes"] / 1e6, row["content_bytes"] / 1e6
        print(
            f"| {row['type']} | {row['sources']} | {source:.2f} | {content:.2f} | {content / source:.3f} |"
        )
    print("\ndry run:", json.dumps(found["dry_run"]))


if __name__ == "__main__":
    main()
