"""The only place that picks classes: which executor, which stages, which encoders, which lake."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows.embedding import CALL_COST
from schemas.engine import Batching, Resources, StageSpec
from schemas.errors import ConfigError
from schemas.ids import canonical_json, digest
from schemas.space_config import FRAME_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.contents import KeptContents
    from infra.lake import Lake
    from infra.payloads import Payloads
    from schemas.blobs import BlobStore
    from schemas.config import Config, Engine
    from schemas.derived import GeneratorContract
    from schemas.engine import Executor
    from schemas.search import SearchResult
    from schemas.space import Probe, SpaceContract
    from stages.cutter import Keep
    from stages.index.snapshot import OpenSnapshot
    from stages.recognise.speech_configured import SpeechContract
    from stages.route.search import Retriever

# Raised when decoding or recognition give another content for the same bytes: every source is then read again at its
# next ingest.
PIPELINE_VERSION: Final = 2
# Raised when segmentation gives other units for the same content: every source is then cut again, and read again for it
# if its content is not kept. At 0 it is no part of a fingerprint, so lakes from before there was one stay as they are.
CUTTING_VERSION: Final = 0
# Keys of the segmentation that no decoder looks at.
_CUTS_ONLY: Final = frozenset({"paragraph_words", "document_tokens", "segment_s"})
_ENCODER_THREADS: Final = 1  # sums depend on it, so it is part of a space's contract
# Parts of documents are cut by its tokens, whatever they are embedded in: another encoder changes no unit.
_COUNTED_BY: Final = "minilm"
_NO_LAKE: Final = "memory://"
_MIB: Final = 1 << 20
# Shares of one worker's core. Embedding is what a CPU spends its time on; the others only need to be placed.
_SHARES: Final = {"decode": 0.15, "unpack": 0.05, "recognise": 0.2} | {
    "derive": 0.1,
    "embed": 0.3,
    "index": 0.2,
}
_DERIVES_AT_ONCE: Final = 32


# Items of one call to an encoder; its cost is counted as flows/embedding.py has it.
_EMBEDDING: Final = Batching(max_items=4096, max_cost=CALL_COST)


def workers(config: Config) -> int:
    """Actors per pool: as configured, else one for each core this process may use."""
    return config.engine.workers or len(os.sched_getaffinity(0))


def embedding_gpus(config: Config) -> tuple[float, int]:
    """The share of a GPU of one embedding actor, and the number of such actors."""
    return _gpus(config, "embed")


def deriving_gpus(config: Config) -> tuple[float, int]:
    """The same for actors that derive text."""
    return _gpus(config, "derive")


def recognising_gpus(config: Config) -> tuple[float, int]:
    """The same for actors that recognise; without a configured speech model they need no GPU."""
    return _gpus(config, "recognise")


def _gpus(config: Config, name: str) -> tuple[float, int]:
    here = len(list(Path("/dev").glob("nvidia[0-9]*")))
    engine = config.engine
    asked = {"embed": engine.embed_gpus}
    if _models_derive(config):  # rules need none
        asked["derive"] = engine.derive_gpus
    if speech_model(config):
        asked["recognise"] = engine.recognise_gpus
    even = 100 // len(asked) / 100 if here else 0.0
    shares = {pool: even if share is None else share for pool, share in asked.items()}
    share = shares.get(name, 0.0)
    # A cluster's GPUs are not seen from its driver: as many actors as workers then.
    actors = max(1, int(here / sum(shares.values()))) if share and here else workers(config)
    return share, actors


def _models_derive(config: Config) -> bool:
    from stages.derive.registry import runs_model

    return any(map(runs_model, generators(config)))


def generators(config: Config) -> tuple[GeneratorContract, ...]:
    """What derives text, by name.

    Raises:
        ConfigError: One of them cannot be.
    """
    from stages.derive.registry import contract

    if not config.derive:
        return ()
    side = frame_size(contracts(config))
    return tuple(
        contract(name, settings, frame_size=side)
        for name, settings in sorted(config.derive.items())
    )


def contracts(config: Config, names: Sequence[str] = ()) -> tuple[SpaceContract, ...]:
    """The spaces of these names, or those of the profile, in its order.

    Raises:
        ConfigError: There is no such space, its configuration does not fit its model, or it does not fit the others.
        MissingExtraError: A model is not on this machine; says how to fetch it.
    """
    from stages.embed.registry import contract

    return tuple(
        contract(name, threads=_ENCODER_THREADS, configured=config.spaces)
        for name in names or config.profile.spaces
    )


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
        "recognition": _recognition(config),
    }
    if CUTTING_VERSION:
        read_as["cutting"] = CUTTING_VERSION
    return digest("pipeline", canonical_json(read_as | _pictures(config)))


def content_fingerprint(config: Config) -> str:
    """Of everything between a file's bytes and its content, which is then cut into units."""
    read_as = {
        "version": PIPELINE_VERSION,
        "decoding": config.segmentation.model_dump(exclude=set(_CUTS_ONLY)),
        "recognition": _recognition(config),
    }
    return digest("content", canonical_json(read_as | _pictures(config)))


def _recognition(config: Config) -> dict[str, Any]:
    """What recognisers depend on; of a configured speech model, its files too."""
    speech = speech_model(config)
    model = {} if speech is None else {"speech_files": speech.identity()}
    return config.recognition.model_dump() | model


def speech_model(config: Config) -> SpeechContract | None:
    """The speech model of ``[speech.NAME]`` that transcribes; None if none of them does.

    Raises:
        ConfigError: It cannot be.
        MissingExtraError: It is not on this machine; says how to fetch it.
    """
    from stages.recognise.speech_configured import speech_contract

    recognition = config.recognition
    return speech_contract(recognition.speech_model, config.speech) if recognition.speech else None


def _pictures(config: Config) -> dict[str, int]:
    """What decoding makes of pictures, where it is not what it was before that could be said."""
    size = frame_size(contracts(config))
    return {} if size == FRAME_SIZE else {"frame_size": size}


def make_executor(config: Config) -> Executor:
    """Ray, started here or joined at RAY_ADDRESS.

    Of the memory to build, what lies between driver and workers is in the object store: three shards of vectors, two
    finished segments. With less, Ray spills them to disk.
    """
    from infra.ray_executor import OBJECT_STORE_BYTES, RayExecutor

    store_bytes = max(OBJECT_STORE_BYTES, config.indexing.build_memory_bytes // 2)
    return RayExecutor(cpus=workers(config), object_store_bytes=store_bytes)


def stage_specs(
    config: Config, lake_url: str = _NO_LAKE, beside: Sequence[SpaceContract] = ()
) -> list[StageSpec]:
    """The six pools of a run over a lake, by default one that keeps nothing; they embed in `beside` as well."""
    from flows.deriving import DERIVE
    from flows.embedding import EMBED
    from flows.ingest import RECOGNISE
    from flows.kept import UNPACK
    from flows.sounds import DECODE
    from infra.contents import KeptContents
    from infra.payloads import Payloads
    from infra.sources import open_file
    from stages.decode.options import DecodeOptions
    from stages.decode.stage import DecodeStage
    from stages.derive.stage import DeriveStage
    from stages.embed.registry import contract
    from stages.embed.stage import EmbedStage
    from stages.index.stage import IndexStage
    from stages.recognise.options import RecogniseOptions
    from stages.recognise.stage import RecogniseStage
    from stages.unpack import UnpackStage

    spaces = tuple({space.key: space for space in (*contracts(config), *beside)}.values())
    counted_by = contract(_COUNTED_BY, threads=_ENCODER_THREADS)
    limits = config.limits
    recognition, segmentation = config.recognition, config.segmentation
    options = DecodeOptions(
        limits, segmentation, recognition, frame_size(contracts(config)), config.decoding.passwords
    )
    recognisers = RecogniseOptions(recognition, speech=speech_model(config))
    payloads = Payloads.at(lake_url)
    contents = KeptContents.at(lake_url, content_fingerprint(config))
    keep = _keep(config.engine, payloads, contents)
    spec = partial(_spec, config)
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
            partial(RecogniseStage, recognisers, segmentation, counted_by, keep),
            timeout_s=limits.recognise_timeout_s,
        ),
        spec(UNPACK, partial(UnpackStage, counted_by, segmentation, payloads.read, contents.read)),
        spec(
            DERIVE,
            partial(DeriveStage, generators(config), counted_by),
            batching=Batching(max_items=_DERIVES_AT_ONCE),
        ),
        spec(EMBED, partial(EmbedStage, spaces, *_published(lake_url)), batching=_EMBEDDING),
        spec("index", IndexStage, timeout_s=24 * 3600.0),
    ]


def _spec(config: Config, name: str, factory: Any, **rest: Any) -> StageSpec:
    """A pool with the resources of its name."""
    on_gpus = {
        "embed": embedding_gpus,
        "derive": deriving_gpus,
        "recognise": recognising_gpus,
    }
    gpus, actors = on_gpus[name](config) if name in on_gpus else (0.0, workers(config))
    resources = Resources(
        cpus=_SHARES[name],
        gpus=gpus,
        memory_bytes=_memory_bytes(config, name),
        threads=_ENCODER_THREADS,
    )
    return StageSpec(name, factory, resources, actors=actors, **rest)


def _memory_bytes(config: Config, name: str) -> int:
    """What a process of a pool may hold, 0 for no limit; on top come weights that load later, at twice their files."""
    if name not in ("decode", "recognise"):
        return 0
    speech = speech_model(config) if name == "recognise" else None
    return config.limits.decode_memory_bytes + (2 * speech.weights_bytes if speech else 0)


def _keep(engine: Engine, payloads: Payloads, contents: KeptContents) -> Keep:
    from stages.cutter import Keep

    return Keep(
        payloads.keep if engine.keep_payloads else None,
        contents.keep if engine.keep_content else None,
    )


def kept_contents(lake: Lake, config: Config) -> KeptContents:
    """The contents that a lake keeps, as decoding would give them now."""
    from infra.contents import KeptContents

    return KeptContents(lake.blobs, content_fingerprint(config))


def _published(lake_url: str) -> tuple[dict[str, Probe], tuple[SpaceContract, ...]]:
    """The spaces of the published snapshot and what their encoders made of their self-checks; nothing without one."""
    from flows.manifests import published_manifest

    published = published_manifest(open_blobs_of(lake_url)) if lake_url != _NO_LAKE else None
    return (published.probes, published.spaces) if published else ({}, ())


def open_lake(url: str, *, create: bool = False) -> Lake:
    """The lake at a URL or path."""
    from infra.lake import Lake

    return Lake.open(url, create=create)


def open_blobs_of(url: str) -> BlobStore:
    """The blobs of a lake, read-only; a local one needs nothing but the standard library."""
    from infra.blobs import open_blobs

    return open_blobs(url, read_only=True)


def open_retriever(url: str, snapshot: str = "current", *, spaces: Sequence[str] = ()) -> Retriever:
    """A snapshot with the encoders of its spaces, or only of those with these names or keys.

    Raises:
        ConfigError: It has no such space.
    """
    from flows.serving import with_snapshot
    from stages.embed.registry import make_encoder
    from stages.route.search import Retriever, find_spaces

    def retriever(opened: OpenSnapshot) -> Retriever:
        manifest = opened.manifest
        encoders = {
            space.key: make_encoder(space, recorded=manifest.probes.get(space.key))
            for space in find_spaces(manifest.query_spaces, spaces)
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
