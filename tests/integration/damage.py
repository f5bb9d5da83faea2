"""A small lake to damage, the ways to damage it, and all that it shows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from flows import snapshots
from flows.repair import repair_lake
from flows.verify import verify_lake
from infra import pointer
from schemas.findings import Verification
from schemas.manifest import Manifest
from tests.integration.mill import EACH_ALONE, Mill

MILLS = "The mill has a wheel, the wheel has nine paddles."


class DamagedMill(Mill):
    """A mill whose lake can be put back to how it was."""

    @classmethod
    def build(cls, folder: Path) -> "DamagedMill":
        """Two runs with a change, a copy, a broken and a deleted file between them."""
        mill = cls(folder, EACH_ALONE)
        mill.write("mill.txt", MILLS)
        mill.write("copy.txt", MILLS)
        mill.write("prices.csv", "grain,price\nwheat,3\nrye,2\n")
        mill.write("broken.pdf", "%PDF-1.4 nothing")
        mill.write("goes.txt", "This one will be deleted.")
        mill.ingest()
        mill.publish()
        mill.write("bread.txt", "Bread rises slowly in a cold kitchen.")
        mill.write("prices.csv", "grain,price\nwheat,4\nrye,2\n")
        (mill.corpus / "goes.txt").unlink()
        mill.ingest()
        mill.publish()
        mill.keep()
        return mill

    @property
    def folder(self) -> Path:
        return Path(self.lake.url)

    def keep(self) -> None:
        """This is how it is put back to."""
        shutil.rmtree(f"{self.folder}-kept", ignore_errors=True)
        shutil.copytree(self.folder, f"{self.folder}-kept")

    def restore(self) -> None:
        """Put it back: a lake at its own place, since uris and paths are part of what it has."""
        shutil.rmtree(self.folder)
        shutil.copytree(f"{self.folder}-kept", self.folder)

    def verify(self) -> Verification:
        return verify_lake(self.lake, self.config, lambda *_: None)

    def repair(self) -> Verification:
        return repair_lake(self.lake.url, self.config, lambda *_: None, lambda _: None)

    def data_files(self, table: str) -> list[Path]:
        return sorted((self.folder / "tables" / self.name_of(table)).rglob("*.parquet"))

    def commits(self, table: str) -> list[Path]:
        log = self.folder / "tables" / self.name_of(table) / "_delta_log"
        return sorted(log.glob("*.json"))

    def name_of(self, table: str) -> str:
        if table != "embeddings":
            return table
        (name,) = (p.name for p in (self.folder / "tables" / "embeddings").iterdir())
        return f"embeddings/{name}"

    def manifest(self) -> Manifest:
        current = pointer.current(self.lake.blobs)
        assert current
        return snapshots.read_manifest(self.lake.blobs, current)

    def shown(self) -> dict:
        """All that its tables show, but for when and by which run."""
        state = self.lake.state()
        live = {path.source_id for path in state.paths.values()}
        return {
            "paths": {
                p.path: (p.source_id, p.outcome, p.reject_code, p.size_bytes, p.title)
                for p in state.paths.values()
            },
            "complete": sorted(pair for pair in state.spaces_done if pair[0] in live),
            "units": self.lake.live_units().drop_columns(["batch"]).to_pylist(),
            "counts": self.lake.counts(),
            "rejects": [
                (r["path"], r["code"], r["reason"], r["page"])
                for r in self.lake.rejects().to_pylist()
            ],
        }

    def published(self) -> tuple[str, list[str]]:
        manifest = self.manifest()
        return manifest.snapshot_id, [s.digest for i in manifest.indexes for s in i.segments]


def missing(path: Path) -> None:
    path.unlink()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """One bit of a value: the last byte of a column chunk is no header."""
    column = pq.read_metadata(path).row_group(0).column(1)
    data = bytearray(path.read_bytes())
    start = min(o for o in (column.dictionary_page_offset, column.data_page_offset) if o)
    data[start + column.total_compressed_size - 1] ^= 1
    path.write_bytes(data)


def garbled(path: Path) -> None:
    path.write_bytes(b"\xff\x00" * (path.stat().st_size // 2))


DAMAGE: dict[str, Callable[[Path], None]] = {
    damage.__name__: damage for damage in (missing, truncated, empty, flipped, garbled)
}
