"""What keeping decoded content costs and saves: bytes beside the sources', processor time beside decoding's.

A sample of each kind of file goes through the stage of decoding and cutting, without `engine.keep_content` and with it;
then all that was kept is cut anew with shorter passages. Recognisers are off: of a run, keeping adds less, and
cutting anew spares more. Processor seconds of this process and of the children it waited for.

    python -m benchmarks.contents FOLDER [--files N] [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.payloads import KINDS, OFF, decoded, processor_s, sample
from flows import wiring
from infra.contents import KeptContents, text_of
from schemas.config import Config, Engine, Segmentation
from schemas.engine import Answer, Task
from stages.messages import RecutRequest

if TYPE_CHECKING:
    from schemas.engine import Stage
    from schemas.source import SourceFile

ALL_KINDS: Final = {
    "texts": {".txt", ".md", ".html", ".csv"},
    "sound": {".wav", ".mp3", ".ogg", ".flac"},
} | KINDS
UNPACK: Final = 2  # number of that pool among the stages


def stage_of(number: int, lake_url: str, config: Config) -> Stage:
    """A stage as a run has it."""
    stage: Stage = wiring.stage_specs(config, lake_url)[number].factory()
    stage.setup()
    return stage


def measure(files: list[SourceFile], words: int) -> dict[str, Any]:
    """One kind."""
    config = Config(engine=Engine(keep_content=True), recognition=OFF)
    cut_short = config.model_copy(update={"segmentation": Segmentation(paragraph_words=words)})
    without_s, _ = decoded(stage_of(0, "memory://", Config(recognition=OFF)), files)
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        with_s, n_decoded = decoded(stage_of(0, folder, config), files)
        contents = KeptContents.at(folder, wiring.content_fingerprint(config))
        sizes, keys = contents.sizes(), contents.kept()
        raw_bytes = sum(len(text_of((Path(folder) / key).read_bytes(), key)) for key in sizes)
        stage = stage_of(UNPACK, folder, cut_short)
        started_s = processor_s()
        answers = [stage.process([Task(RecutRequest(*item))])[0] for item in keys.items()]
        recut_s = processor_s() - started_s
    return {
        "files": len(files),
        "decoded": n_decoded,
        "source_bytes": sum(file.size_bytes for file in files),
        "contents": len(keys),
        "raw_bytes": raw_bytes,
        "content_bytes": sum(sizes.values()),
        "decode_s": without_s,
        "decode_and_keep_s": with_s,
        "recut": sum(isinstance(answer, Answer) for answer in answers),
        "recut_s": recut_s,
    }


def show(found: dict[str, dict[str, Any]]) -> None:
    """As a table in Markdown."""
    print(
        "| | files | MB | contents | MB | of the sources | decode, s | and keep, s | cut anew, s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for kind, row in found.items():
        share = row["content_bytes"] / row["source_bytes"]
        print(
            f"| {kind} | {row['files']} | {row['source_bytes'] / 1e6:.2f} | {row['contents']}"
            f" | {row['content_bytes'] / 1e6:.3f} of {row['raw_bytes'] / 1e6:.3f} | {share:.3f}"
            f" | {row['decode_s']:.1f} | {row['decode_and_keep_s']:.1f} | {row['recut_s']:.1f} |"
        )


def main() -> None:
    """Measure each kind that the folder has."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100, help="of each kind, at most")
    parser.add_argument("--words", type=int, default=60, help="of a passage when it is cut anew")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    asked = parser.parse_args()
    samples = {kind: sample(asked.folder, s, asked.files) for kind, s in ALL_KINDS.items()}
    bare = stage_of(0, "memory://", Config(recognition=OFF))
    for files in samples.values():
        decoded(bare, files[:1])  # imports
    found = {kind: measure(files, asked.words) for kind, files in samples.items() if files}
    if asked.json:
        print(json.dumps(found))
        return
    show(found)


if __name__ == "__main__":
    main()
