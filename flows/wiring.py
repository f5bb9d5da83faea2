"""The only place that picks classes: which executor, which stages, which encoders, which lake."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.engine import Batching, Resources, StageSpec
from schemas.errors import ConfigError
from schemas.ids import canonical_json, digest
from schemas.space_config import FRAME_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.lake import Lake
    from schemas.blobs import BlobStore
    from schemas.config import Config
    from schemas.engine import Executor
    from schemas.search import SearchResult
    from schemas.space import Probe, SpaceContract
    from stages.index.snapshot import OpenSnapshot
    from stages.route.search import Retriever

# Raised when decoding, recognition or segmentation give other units for the same bytes: every source is then
# read again at its next ingest.
PIPELINE_VERSION: Final = 2
_ENCODER_THREADS: Final = 1  # sums depend on it, so it is part of a space's contract
# Parts of documents are cut by its tokens, whatever they are embedded in: another encoder changes no unit.
_COUNTED_BY: Final = "minilm"
_NO_LAKE: Final = "memory://"
_MIB: Final = 1 << 20
# Shares of one worker's core. Embedding is what a CPU spends its time on; the others only need to be placed.
_SHARES: Final = {"decode": 0.15, "unpack": 0.05, "recognise": 0.2, "embed": 0.4, "index": 0.2}


def workers(config: Config) -> int:
    """Actors per pool: as configured, else one for each core this process may use."""
    return config.engine.workers or len(os.sched_getaffinity(0))


def embedding_gpus(config: Config) -> tuple[float, int]:
    """The share of a GPU of one embedding actor, and the number of such actors."""
    here = len(list(Path("/dev").glob("nvidia[0-9]*")))
    share = config.engine.embed_gpus
    if share is None:
        share = 1.0 if here else 0.0
    if (
        not share or not here
    ):  # a cluster's GPUs are not seen from its driver: as many actors as workers then
        return share, workers(config)
    return share, max(1, int(here / share))


def contracts(config: Config) -> tuple[SpaceContract, ...]:
    """The spaces of the profile, in its order.

    Raises:
        ConfigError: There is no such space, its configuration does not fit its model, or it does not fit the others.
        MissingExtraError: A model is not on this machine; says how to fetch it.
    """
    from stages.embed.registry import contract

    found = tuple(
        contract(name, threads=_ENCODER_THREADS, configured=config.spaces)
        for name in config.profile.spaces
    )
    for space in found:
        if space.input == "sound":
            raise ConfigError(
                f"profile.spaces has {space.name!r}, which takes sound: units have no sound to embed yet, so it would"
                " stay empty. Leave it out"
            )
    return found


def frame_size(spaces: Sequence[SpaceContract]) -> int:
    """Side in pixels of the pictures that decoders make: what every pixel space takes.

    Raises:
        ConfigError: They take pictures of different sizes.
    """
    sizes = {space.name: space.frame_size for space in spaces if space.input == "pixels"}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{name} takes {size}" for name, size in sizes.items())
        raise ConfigError(
            f"the pixel spaces of a profile share their pictures, and these differ: {each}."
            " Set spaces.NAME.frame_size alike: a model makes its own size of what it is given"
        )
    return next(iter(sizes.values()), FRAME_SIZE)


def fingerprint(config: Config) -> str:
    """Of everything between a file's bytes and its units (limits only decide what is rejected)."""
    read_as: dict[str, Any] = {
        "version": PIPELINE_VERSION,
        "segmentation": config.segmentation.model_dump(),
        "recognition": config.recognition.model_dump(),
    }
    if (size := frame_size(contracts(config))) != FRAME_SIZE:
        read_as["frame_size"] = size
    return digest("pipeline", canonical_json(read_as))


def make_executor(config: Config) -> Executor:
    """Ray, started here or joined at RAY_ADDRESS.

    Of the memory to build, what lies between driver and workers is in the object store: three shards of vectors, two
    finished segments. With less, Ray spills them to disk.
    """
    from infra.ray_executor import OBJECT_STORE_BYTES, RayExecutor

    store_bytes = max(OBJECT_STORE_BYTES, config.indexing.build_memory_bytes // 2)
    return RayExecutor(cpus=workers(config), object_store_bytes=store_bytes)


def stage_specs(config: Config, lake_url: str = _NO_LAKE) -> list[StageSpec]:
    """The five pools of a run over a lake; by default over one in which no payloads are."""
    from flows.embedding import CALL_COST, EMBED
    from flows.ingest import DECODE, RECOGNISE
    from flows.kept import UNPACK
    from infra.payloads import Payloads
    from infra.sources import open_file
    from stages.decode.options import DecodeOptions
    from stages.decode.stage import DecodeStage
    from stages.embed.registry import contract
    from stages.embed.stage import EmbedStage
    from stages.index.stage import IndexStage
    from stages.recognise.options import RecogniseOptions
    from stages.recognise.stage import RecogniseStage
    from stages.unpack import UnpackStage

    spaces = contracts(config)
    counted_by = contract(_COUNTED_BY, threads=_ENCODER_THREADS)
    limits = config.limits
    recognition, segmentation = config.recognition, config.segmentation
    options = DecodeOptions(
        limits, segmentation, recognition, frame_size(spaces), config.decoding.passwords
    )
    payloads = Payloads.at(lake_url)
    keep = payloads.keep if config.engine.keep_payloads else None
    gpus, embedders = embedding_gpus(config)

    def spec(name: str, factory: Any, **rest: Any) -> StageSpec:
        resources = Resources(
            cpus=_SHARES[name],
            gpus=gpus if name == EMBED else 0,
            memory_bytes=limits.decode_memory_bytes if name in (DECODE, RECOGNISE) else 0,
            threads=_ENCODER_THREADS,
        )
        actors = embedders if name == EMBED else workers(config)
        return StageSpec(name, factory, resources, actors=actors, **rest)

    open_one = partial(open_file, limit_bytes=limits.file_bytes)
    return [
        spec(
            DECODE,
            partial(DecodeStage, options, counted_by, open_one, keep),
            timeout_s=limits.decode_timeout_s,
            recycle_after_items=config.engine.decode_recycle_items,
        ),
        spec(
            RECOGNISE,
            partial(RecogniseStage, RecogniseOptions(recognition), segmentation, counted_by, keep),
            timeout_s=limits.recognise_timeout_s,
        ),
        spec(UNPACK, partial(UnpackStage, counted_by, payloads.read)),
        spec(
            EMBED,
            partial(EmbedStage, spaces, _probes(lake_url)),
            batching=Batching(max_items=4096, max_cost=CALL_COST),
        ),
        spec("index", IndexStage, timeout_s=24 * 3600.0),
    ]


def _probes(lake_url: str) -> dict[str, Probe]:
    """What the encoders of the published snapshot made of their self-checks; nothing where none is published."""
    from flows.manifests import published_manifest

    published = published_manifest(open_blobs_of(lake_url)) if lake_url != _NO_LAKE else None
    return published.probes if published else {}


def open_lake(url: str, *, create: bool = False) -> Lake:
    """The lake at a URL or path."""
    from infra.lake import Lake

    return Lake.open(url, create=create)


def open_blobs_of(url: str) -> BlobStore:
    """The blobs of a lake, read-only; a local one needs nothing but the standard library."""
    from infra.blobs import open_blobs

    return open_blobs(url, read_only=True)


def open_retriever(url: str, snapshot: str = "current") -> Retriever:
    """A snapshot with the encoders that its spaces name."""
    from flows.serving import with_snapshot
    from stages.embed.registry import make_encoder
    from stages.route.search import Retriever

    def retriever(opened: OpenSnapshot) -> Retriever:
        manifest = opened.manifest
        encoders = {
            space.key: make_encoder(space, recorded=manifest.probes.get(space.key))
            for space in manifest.spaces
        }
        return Retriever(opened, encoders)

    return with_snapshot(url, retriever, snapshot)


def reranked_by(model: str, query: str, result: SearchResult, k: int) -> SearchResult:
    """The best `k` hits by a cross-encoder.

    Raises:
        MissingExtraError: The model is not on this machine; says how to fetch it.
    """
    from stages.embed.rerank import CrossReranker
    from stages.route.rerank import reranked

    return reranked(query, result, CrossReranker(model), k)


def evaluate_queries(url: str, queries: Path) -> dict[str, Any]:
    """The evaluate table of a lake's current snapshot; see stages/route/evaluate.py."""
    from stages.route.evaluate import evaluate, read_queries

    return evaluate(open_retriever(url), read_queries(queries))
