"""A sample of live units with their vectors in two spaces; what the new one lacks is embedded and committed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from flows.desk import Key, Want
from flows.embedding import EMBED, submit_want
from flows.kept import UNPACK
from flows.pools import Pool
from flows.rows import BatchRows
from infra.lake.commit import make_batch_id
from infra.lake.hexkeys import HexKeys
from infra.lake.vectors import gather
from infra.spill import Wanted, live_keys
from schemas.errors import ConfigError
from schemas.unit import Locator, Unit
from stages.messages import UnpackRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.surroundings import Surroundings
    from infra.lake.read import LakeView
    from schemas.partition import Partition
    from schemas.space import SpaceContract

_TEXTS: Final = 1_000  # of one request to measure them
_POLL_S: Final = 0.2
_HELD_OUT: Final = (
    5  # every fifth input, by its hash: one input is on one side, in whatever partitions it stands
)
_COLUMNS: Final = ["unit_id", "text", "context"]


@dataclass(slots=True)
class Sampled:
    """Units of one partition.

    Attributes:
        partition: Which.
        inputs: input_hash of each, ascending, each once.
        units: unit_id of one unit that has it.
    """

    partition: Partition
    inputs: HexKeys
    units: HexKeys

    def __len__(self) -> int:
        """How many."""
        return len(self.inputs)

    @property
    def held(self) -> np.ndarray:
        """Those that are left out of a fit, bool [n]."""
        found: np.ndarray = self.inputs.low % np.uint64(_HELD_OUT) == 0
        return found


@dataclass(slots=True)
class Embedded:
    """What became of the units that had no vector in the new space."""

    vectors: int = 0
    failed: int = 0
    reasons: set[str] = field(default_factory=set)


def choose_sample(
    view: LakeView, partitions: Sequence[Partition], old: SpaceContract, count: int
) -> list[Sampled]:
    """Units to pair, always the same ones of the same rows: as many of each partition, but for those that have fewer.

    Raises:
        LakeError: A file of the lake is missing or broken.
    """
    pools = {partition: _with_vector(view, partition, old) for partition in partitions}
    shares = share_out({p: len(pool) for p, pool in pools.items()}, count)
    return [
        Sampled(partition, pool.inputs.take(chosen), pool.units.take(chosen))
        for partition, pool in pools.items()
        if len(chosen := np.sort(pool.inputs.last_by_tail(shares[partition])))
    ]


def share_out(sizes: dict[Partition, int], count: int) -> dict[Partition, int]:
    """`count` in equal shares; what one has too few for goes to the others.

    >>> share_out({"a": 10, "b": 100, "c": 100}, 100)
    {'a': 10, 'b': 45, 'c': 45}
    """
    shares = {}
    left = count
    for place, (partition, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        shares[partition] = min(size, left // (len(sizes) - place))
        left -= shares[partition]
    return {partition: shares[partition] for partition in sizes}


def _with_vector(view: LakeView, partition: Partition, space: SpaceContract) -> Sampled:
    """Every input of a partition that has its vector in a space."""
    keys = live_keys(view, Wanted(partition, space.key, "text_hash"))
    order = keys.inputs.order()
    chosen = order[keys.inputs.take(order).firsts()]
    found = view.find_vectors(space.key, partition, keys.inputs.take(chosen)).found
    return Sampled(partition, keys.inputs.take(chosen[found]), keys.units.take(chosen[found]))


def embed_sample(around: Surroundings, sample: Sequence[Sampled], new: SpaceContract) -> Embedded:
    """Embed what has no vector in the new space yet, and commit it: an ingest in that space finds it there.

    A unit whose vector is bad is left out here; the ingest will say so of it.
    """
    view, done = around.lake.view(), Embedded()
    rows = BatchRows(make_batch_id(around.run_id, 0), around.run_id, around.fingerprint)
    for part in sample:
        missing = ~view.find_vectors(new.key, part.partition, part.inputs).found
        texts = _texts(view, part, missing) if missing.any() else {}
        for input_hash, vector in _vectors(around, part.partition, new, texts, done):
            rows.add_vector(new.key, part.partition, input_hash, vector)
            done.vectors += 1
    if done.vectors:
        rows.add_batch()
        around.lake.commit(rows.seal(), run_id=around.run_id)
    return done


def _texts(view: LakeView, part: Sampled, wanted: np.ndarray) -> dict[str, str]:
    """What a text encoder reads of the wanted ones, by input_hash."""
    order = part.units.take(wanted).order()
    units = part.units.take(wanted).take(order)
    inputs = part.inputs.take(wanted).take(order).strings().to_pylist()
    found: dict[str, str] = {}
    for batch in view.stream_units(part.partition, _COLUMNS, "text_hash"):
        ids = HexKeys.of(batch.column("unit_id"))
        left, right = units.find(ids)
        hits = np.flatnonzero(left < right)
        for place, row in zip(left[hits].tolist(), batch.take(hits).to_pylist(), strict=True):
            found[inputs[place]] = _unit(part.partition, row["text"], row["context"]).embedded_text
    return found


def _unit(partition: Partition, text: str, context: str) -> Unit:
    return Unit("", partition, Locator(), text=text, context=context)


def _vectors(
    around: Surroundings,
    partition: Partition,
    space: SpaceContract,
    texts: dict[str, str],
    done: Embedded,
) -> Iterator[tuple[str, np.ndarray]]:
    """(input_hash, float32 [dim]) in order of the hash; failures are counted."""
    session = around.session
    names = sorted(texts)
    for start in range(0, len(names), _TEXTS):
        some = names[start : start + _TEXTS]
        request = UnpackRequest(tuple(texts[name] for name in some), 0, ())
        _, unpacked, _ = Pool(lambda: session, UNPACK).ask(f"texts of {partition}", request)
        for name, tokens in zip(some, unpacked.tokens, strict=True):
            want = Want(Key(space.key, name), _unit(partition, texts[name], ""), tokens)
            submit_want(session, space, want, None)
        session.flush(EMBED)
        found: dict[str, np.ndarray] = {}
        while session.pending(EMBED):
            for outcome in session.poll(_POLL_S):
                if outcome.failure:
                    done.failed += 1
                    done.reasons.add(outcome.failure.reason)
                else:
                    found[outcome.key.partition("/")[2]] = outcome.value
        yield from sorted(found.items())


def paired(
    view: LakeView, sample: Sequence[Sampled], old: SpaceContract, new: SpaceContract
) -> tuple[list[Sampled], np.ndarray, np.ndarray]:
    """The units that have both vectors, and these: float32 [n, dim of new], float32 [n, dim of old].

    Raises:
        ConfigError: There is not one.
    """
    parts, news, olds = [], [], []
    for part in sample:
        both = view.find_vectors(new.key, part.partition, part.inputs).found
        inputs = part.inputs.take(both)
        parts.append(Sampled(part.partition, inputs, part.units.take(both)))
        news.append(gather(view.find_vectors(new.key, part.partition, inputs)))
        olds.append(gather(view.find_vectors(old.key, part.partition, inputs)))
    if not any(len(part) for part in parts):
        raise ConfigError(f"not one unit has a vector in {old.key} and in {new.key}")
    filled = [i for i, part in enumerate(parts) if len(part)]
    return (
        [parts[i] for i in filled],
        np.concatenate([news[i] for i in filled]),
        np.concatenate([olds[i] for i in filled]),
    )
