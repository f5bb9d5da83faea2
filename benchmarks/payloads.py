"""What keeping pixels costs, and what it saves: bytes beside the sources', processor time beside that of decoding.

A sample of each kind of file goes through the stage of decoding and cutting, without `engine.keep_payloads` and with
it; then all that was kept is read again. Recognisers are off and nothing is embedded, which would hide what is
measured: of a run, keeping adds less. In this process; times are processor seconds of it and of the children it waited
for (ffmpeg), since these drift less than a clock does.

    python -m benchmarks.payloads FOLDER [--files N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows import wiring
from flows.listing import hash_files, list_sources
from infra.payloads import Payloads, hash_in
from schemas.config import Config, Engine, Recognition
from schemas.engine import Answer, Task
from stages.messages import DecodeRequest

if TYPE_CHECKING:
    from schemas.engine import Stage
    from schemas.source import SourceFile

KINDS: Final = {
    "images": {".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".webp", ".bmp"},
    "PDFs": {".pdf"},
    "videos": {".mp4", ".mkv", ".mov", ".mpg", ".avi", ".flv", ".webm"},
}
OFF: Final = Recognition(ocr=False, layout=False, speech=False, sound_tags=False)


def sample(folder: Path, suffixes: set[str], most: int) -> list[SourceFile]:
    """At most so many files of a kind, evenly over their names."""
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in suffixes)
    chosen = found[:: max(1, len(found) // most)][:most]
    listed = list_sources([str(path) for path in chosen]).files if chosen else ()
    return [file for file, _ in hash_files(listed)]


def decoded(stage: Stage, files: list[SourceFile]) -> tuple[float, int]:
    """Processor seconds, and how many files came through."""
    started_s = processor_s()
    answers = [stage.process([Task(DecodeRequest(file))])[0] for file in files]
    return processor_s() - started_s, sum(isinstance(answer, Answer) for answer in answers)


def processor_s() -> float:
    """Of this process and the children it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def stage_for(lake_url: str, *, keeps: bool) -> Stage:
    """Decoding as a run has it."""
    config = Config(engine=Engine(keep_payloads=keeps), recognition=OFF)
    stage: Stage = wiring.stage_specs(config, lake_url)[0].factory()
    stage.setup()
    return stage


def measure(files: list[SourceFile], bare: Stage, rounds: int) -> dict[str, Any]:
    """One kind: without and with in turn, each time into an empty folder; medians."""
    without, kept = [], []
    for _ in range(rounds):
        without.append(decoded(bare, files))
        with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
            kept.append(decoded(stage_for(folder, keeps=True), files))
            payloads = Payloads.at(folder)
            sizes = payloads.sizes()
            started_s = processor_s()
            raw_bytes = sum(
                array.nbytes
                for key in sizes
                for array in payloads.read(int(key.split("/")[1]), [hash_in(key)])
            )
            read_s = processor_s() - started_s
    without_s, with_s = (statistics.median(s for s, _ in each) for each in (without, kept))
    source_bytes = sum(file.size_bytes for file in files)
    return {
        "files": len(files),
        "decoded": kept[0][1],
        "source_bytes": source_bytes,
        "payloads": len(sizes),
        "raw_bytes": raw_bytes,
        "payload_bytes": sum(sizes.values()),
        "bytes_ratio": sum(sizes.values()) / source_bytes,
        "decode_s": without_s,
        "decode_and_keep_s": with_s,
        "time_ratio": with_s / without_s,
        "read_s": read_s,
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    """As a table in Markdown."""
    print("| | files | MB | payloads | MB | of the sources | decode, s | and keep, s | read, s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind, row in found.items():
        print(
            f"| {kind} | {row['files']} | {row['source_bytes'] / 1e6:.1f} | {row['payloads']}"
            f" | {row['payload_bytes'] / 1e6:.1f} of {row['raw_bytes'] / 1e6:.1f}"
            f" | {row['bytes_ratio']:.2f} | {row['decode_s']:.1f}"
            f" | {row['decode_and_keep_s']:.1f} ({row['time_ratio']:.2f}) | {row['read_s']:.2f} |"
        )


def main() -> None:
    """Measure each kind that the folder has."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=40, help="of each kind, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    samples = {kind: sample(options.folder, s, options.files) for kind, s in KINDS.items()}
    bare = stage_for("memory://", keeps=False)
    for files in samples.values():
        decoded(bare, files[:1])  # imports
    found = {kind: measure(files, bare, options.rounds) for kind, files in samples.items() if files}
    if options.json:
        print(json.dumps(found))
        return
    show(found)


if __name__ == "__main__":
    main()
