"""What a reindex would take, said beforehand: nothing is written, no encoder is loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from flows import wiring
from flows.kept import unkept
from infra.payloads import Payloads, key_of
from schemas.partition import ALL_PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.reindex import Reindexing
    from infra.lake import LakeView
    from schemas.config import Config
    from schemas.space import SpaceContract


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds of one actor for one vector and for one file, as a run measured them; 0 for what it had none of."""

    run_id: str
    embed_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class ReindexCost:
    """What there is to do.

    Attributes:
        space: Name of the space; empty where all is cut anew.
        files: Names of the sources in the lake.
        unchanged: Those of them of which nothing is to be done.
        embed: Sources whose units are embedded from what is kept.
        recut: Sources that are cut anew from kept content.
        decode: Sources whose files are decoded again, if only their sound.
        units: Live units to be embedded.
        vectors: Rows of vectors to be written: different contents of each partition. None where that is known only
            when the sources are cut.
        calls: Different contents for the encoder to see; None as before.
        text_bytes: To be read from the table of units.
        payload_bytes: To be read of kept pixels and sounds.
        file_bytes: To be read of the files that are decoded.
        seconds: Estimated; None where no run of this lake has measured it.
        measured_by: The run whose rates that rests on; empty without one.
    """

    space: str
    files: int
    unchanged: int
    embed: int
    recut: int
    decode: int
    units: int | None
    vectors: int | None
    calls: int | None
    text_bytes: int
    payload_bytes: int
    file_bytes: int
    seconds: float | None
    measured_by: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(slots=True)
class _Wanted:
    """Units to be embedded: how many, their contents by partition, and the bytes of their texts."""

    units: int = 0
    inputs: int = 0
    text_bytes: int = 0


def foresee(lake_url: str, config: Config, what: Reindexing) -> ReindexCost:
    """Look ahead.

    Raises:
        ConfigError: There is no such space.
        LakeError: There is no lake.
    """
    lake = wiring.open_lake(lake_url)
    spaces, _ = what.choose(lake, config)
    state, view = lake.state(), lake.view()
    plan = what.plan(lake, state, config, spaces)
    payloads = Payloads(lake.blobs)
    count, new, decode = _Wanted(), set[str](), set[str]()
    if what.space:
        lacking = [a.contents.first.source_id for a in plan.again]
        count, new = _wanted(view, spaces[0], lacking)
        decode = unkept(view, payloads, lacking, spaces[0])
    decoded = [a.contents for a in plan.again if a.contents.first.source_id in decode]
    decoded += plan.decode
    calls = len(new) if what.space else None
    rate = _rate(view.runs().to_pylist(), what.space)
    return ReindexCost(
        space=what.space,
        files=plan.found,
        unchanged=plan.unchanged,
        embed=len(plan.again) - len(decode),
        recut=len(plan.recut),
        decode=len(decoded),
        units=count.units if what.space else None,
        vectors=count.inputs if what.space else None,
        calls=calls,
        text_bytes=count.text_bytes,
        payload_bytes=_payload_bytes(payloads, spaces, new),
        file_bytes=sum(contents.first.size_bytes for contents in decoded),
        seconds=_seconds(rate, calls, len(decoded), config),
        measured_by=rate.run_id if rate else "",
    )


def _wanted(
    view: LakeView, space: SpaceContract, source_ids: Sequence[str]
) -> tuple[_Wanted, set[str]]:
    """Units of some sources that have no vector, and their contents that have none anywhere."""
    count, new = _Wanted(), set[str]()
    embedded, chosen = view.embedded(space.key), pa.array(source_ids, pa.string())
    for partition in filter(space.takes, ALL_PARTITIONS):
        inputs = set[str]()
        columns = ["source_id", "input_hash", "text", "context"]
        for batch in view.stream_units(partition, columns, space.input_column):
            rows = batch.filter(pc.is_in(batch["source_id"], value_set=chosen))
            hashes = rows["input_hash"].to_pylist()
            fresh = [(partition.modality, partition.granularity, h) not in embedded for h in hashes]
            count.units += sum(fresh)
            inputs.update(h for h, is_new in zip(hashes, fresh, strict=True) if is_new)
            if space.input == "text":
                count.text_bytes += _text_bytes(rows.filter(pa.array(fresh, pa.bool_())))
        count.inputs += len(inputs)
        new |= {h for h in inputs if not embedded.anywhere(h)}
    return count, new


def _text_bytes(rows: pa.RecordBatch) -> int:
    lengths = (pc.sum(pc.binary_length(rows[name])).as_py() or 0 for name in ("text", "context"))
    return sum(lengths)


def _payload_bytes(payloads: Payloads, spaces: Sequence[SpaceContract], new: set[str]) -> int:
    if not new or spaces[0].input == "text":
        return 0
    sizes = payloads.sizes()
    return sum(sizes.get(key_of(spaces[0].frame_size, name), 0) for name in new)


def _rate(runs: Sequence[Mapping[str, Any]], space: str) -> Rate | None:
    """Of the last run that embedded in this space alone, or else of the last one that embedded.

    One that was ended before its time counts only if there is no other: what it had in hand is in its seconds.
    """
    measured: list[tuple[tuple[bool, bool], Rate]] = []
    for run in runs:
        balance = json.loads(run["balance"])
        embed = balance["stages"].get("embed", {"items": 0})
        decode = balance["stages"].get("decode", {"items": 0})
        if embed["items"]:
            alone = {label.rpartition(" @ ")[2] for label in balance["vectors"]} == {space}
            decode_s = decode["seconds"] / decode["items"] if decode["items"] else 0.0
            rate = Rate(run["run_id"], embed["seconds"] / embed["items"], decode_s)
            measured.append(((run["succeeded"], alone), rate))
    best = max((fits for fits, _ in measured), default=None)
    return next((rate for fits, rate in reversed(measured) if fits == best), None)


def _seconds(rate: Rate | None, calls: int | None, decode: int, config: Config) -> float | None:
    """Embedding and decoding as if nothing else took time; None where a part of it was never measured."""
    if rate is None or calls is None or (decode and not rate.decode_s):
        return None
    _, embedders = wiring.embedding_gpus(config)
    return calls * rate.embed_s / embedders + decode * rate.decode_s / wiring.workers(config)
