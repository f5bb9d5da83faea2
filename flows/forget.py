"""Forgetting: a source leaves the lake, and with ``purge`` every trace of it, which is then searched for."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.forget_terms import terms_left, terms_of
from flows.maintain import unneeded, unneeded_contents, unneeded_payloads
from flows.manifests import all_manifests, manifest_key
from flows.report import escaped
from flows.rows import BatchRows
from flows.snapshots import protect_key
from infra.aside import ASIDE
from infra.contents import is_content, text_of
from infra.lake import paths
from infra.payloads import hash_in, unpack
from schemas.errors import ConfigError, FormatError, IntegrityError, LakeError
from schemas.pixels import hash_pixels
from schemas.space import INPUT_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from infra.lake import Lake, LakeView
    from schemas.blobs import BlobStore
    from schemas.other_formats import AnyManifest

_NEEDLES: Final = 200  # of a kind, evenly over what there is: more say no more, and each is searched in every byte
_MIN_TEXT_CHARS: Final = 16  # shorter texts stand elsewhere by chance
_PROBE_BYTES: Final = 64
_START_BYTES: Final = 24  # what statistics of a file would show of a text
_REPORTS: Final = "reports"
_BEGUN: Final = "forget"  # folder of what purges that are under way have to forget
_FIELDS: Final = ("uris", "paths", "source_ids", "elsewhere")


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be forgotten.

    Attributes:
        uris: Names, live or not.
        paths: The same, relative to the folder they were found under.
        source_ids: Contents that were ever found there and have no other live name.
        elsewhere: Live names of contents that were found there and stay, since nobody named those names.
    """

    uris: tuple[str, ...]
    paths: tuple[str, ...]
    source_ids: tuple[str, ...]
    elsewhere: tuple[str, ...]


@dataclass(slots=True)
class Proof:
    """What a purge did, what was looked for afterwards, and where that was found.

    Attributes:
        sources: Contents forgotten.
        uris: Names forgotten.
        elsewhere: Live names of contents that were found under a forgotten name and stay.
        snapshot: What is published now.
        dropped_snapshots: Snapshots that had any of it.
        deleted_blobs: Their files, reports, kept pixels and contents.
        dropped_rows: By table.
        needles: How many were searched, by kind.
        searched_files, searched_bytes: All there is under the lake's root.
        found: ``key: kind`` of what is still there; must be empty.
    """

    sources: list[str] = field(default_factory=list)
    uris: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    snapshot: str | None = None
    dropped_snapshots: list[str] = field(default_factory=list)
    deleted_blobs: int = 0
    dropped_rows: dict[str, int] = field(default_factory=dict)
    needles: dict[str, int] = field(default_factory=dict)
    searched_files: int = 0
    searched_bytes: int = 0
    found: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def find_target(view: LakeView, names: Sequence[str], *, strict: bool = True) -> Target:
    """Resolve names: paths (``*`` and ``?`` match), uris or source_ids, of the past too.

    Raises:
        ConfigError: A name matches nothing, and `strict`.
    """
    rows = view.all_rows(paths.SOURCES, ["uri", "path", "source_id"]).to_pylist()
    known = {(row["uri"], row["path"], row["source_id"]) for row in rows}
    live = {uri: path.source_id for uri, path in view.state().paths.items()}
    chosen: set[tuple[str, str, str]] = set()
    for name in names:
        found = {row for row in known if name in row or fnmatchcase(row[1], name)}
        if strict and not found:
            raise ConfigError(f"the lake knows nothing called {name}: gristmill status, or rejects")
        chosen |= found
    uris = {uri for uri, _, _ in chosen}
    contents = {source_id for uri, _, source_id in known if uri in uris} - {""}
    by_id = {row[2] for row in chosen if row[2] in names}
    uris |= {uri for uri, _, source_id in known if source_id in by_id}
    others = {uri: s for uri, s in live.items() if s in contents and uri not in uris}
    return Target(
        tuple(sorted(uris)),
        tuple(sorted({path for uri, path, _ in known if uri in uris})),
        tuple(sorted(contents - set(others.values()))),
        tuple(sorted(others)),
    )


def prepare(lake: Lake, names: Sequence[str], *, even_protected: bool) -> Target:
    """What a purge has to forget: these names, and whatever an earlier one was killed over.

    Raises:
        ConfigError: A name matches nothing, or a protected snapshot holds what is to be forgotten.
    """
    begun = [_begun(lake.blobs, key) for key in lake.blobs.list(_BEGUN)]
    parts = [find_target(lake.view(), names, strict=not begun), *begun]
    together = {name: {v for part in parts for v in getattr(part, name)} for name in _FIELDS}
    together["elsewhere"] -= together["uris"]
    target = Target(**{name: tuple(sorted(values)) for name, values in together.items()})
    holding = snapshots_with(lake.blobs, target)
    if not even_protected:
        _check_unprotected(lake.blobs, holding)
    return target


def _begun(blobs: BlobStore, key: str) -> Target:
    try:
        return Target(**json.loads(blobs.get(key)))
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"{key} in {blobs.url} cannot be read ({error}): delete it, and name again all that was to be forgotten"
        ) from error


def begin(lake: Lake, target: Target, run_id: str) -> None:
    """Note down what is to be forgotten, so that a purge that is killed can be finished, and hide it."""
    key = f"{_BEGUN}/{run_id}.json"
    lake.blobs.put(key, json.dumps(asdict(target)).encode())
    hide(lake, target, run_id)


def has_begun(blobs: BlobStore) -> bool:
    """Whether a purge was killed and is to be finished."""
    return bool(blobs.list(_BEGUN))


def hide(lake: Lake, target: Target, run_id: str) -> None:
    """Commit that the names are gone: invisible to the next snapshot."""
    rows = BatchRows(f"{run_id}-000000", run_id, "")
    live = lake.state().paths
    for uri in target.uris:
        if uri in live:
            rows.add_gone(uri)
    if rows.completions:
        lake.commit(rows.seal(), run_id=run_id)


def snapshots_with(blobs: BlobStore, target: Target) -> list[AnyManifest]:
    """Kept snapshots that know any of it.

    Raises:
        FormatError: One is of a newer format: what it knows cannot be told.
    """
    return [m for m in all_manifests(blobs) if _knows(blobs, m, target)]


def _check_unprotected(blobs: BlobStore, holding: Sequence[AnyManifest]) -> None:
    """Refuse while a protected snapshot needs it.

    Raises:
        ConfigError: Names the snapshots.
    """
    needed = [
        manifest.snapshot_id
        for manifest in holding
        if blobs.exists(protect_key(manifest.snapshot_id))
    ]
    if needed:
        raise ConfigError(
            f"protected snapshots hold what is to be forgotten: {', '.join(needed)}. Nothing was changed;"
            " gristmill snapshots --unprotect ID, or --even-protected"
        )


def purge(lake: Lake, target: Target, snapshot_id: str | None) -> Proof:
    """Take every trace out of the lake, and look for what is left; the caller is the writer.

    Args:
        lake: It was hidden there, and `snapshot_id` built and published without it.
        target: What to forget.
        snapshot_id: The current snapshot; None where nothing is left to publish.
    """
    needles = _needles(lake.view(), target)
    terms = terms_of(lake.view(), target.source_ids)
    proof = Proof(list(target.source_ids), list(target.uris), list(target.elsewhere), snapshot_id)
    doomed = [m for m in snapshots_with(lake.blobs, target) if m.snapshot_id != snapshot_id]
    proof.dropped_snapshots = [manifest.snapshot_id for manifest in doomed]
    for manifest in doomed:
        lake.blobs.delete(manifest_key(manifest.snapshot_id))
        lake.blobs.delete(protect_key(manifest.snapshot_id))
    if snapshot_id is None:
        for key in lake.blobs.list("pointer"):  # it points at nothing that is left
            lake.blobs.delete(key)
    keys = [*unneeded(lake.blobs, all_manifests(lake.blobs)), *_reports_about(lake.blobs, target)]
    keys += lake.blobs.list(ASIDE)  # what repairs set aside may have any of it
    keys += [*unneeded_payloads(lake), *unneeded_contents(lake)]
    for key in keys:
        lake.blobs.delete(key)
    proof.deleted_blobs = len(keys)
    sweeper = lake.sweeper()
    for spec in sweeper.specs():
        swept = sweeper.sweep(spec, dry_run=False)
        if swept.dropped_rows:
            proof.dropped_rows[swept.table] = swept.dropped_rows
    sweeper.drop_history()
    for key in lake.blobs.list(_BEGUN):
        lake.blobs.delete(key)
    _search(lake.blobs, needles, proof)
    proof.needles["term"] = len(terms)
    proof.found += terms_left(lake.blobs, terms)
    proof.found += [f"{key}: pixels of nothing that is live" for key in unneeded_payloads(lake)]
    proof.found += [f"{key}: content of nothing that is live" for key in unneeded_contents(lake)]
    return proof


def check_proof(proof: Proof) -> None:
    """Raise unless nothing was found.

    Raises:
        IntegrityError: Names the first places.
    """
    if proof.found:
        raise IntegrityError(
            f"{len(proof.found)} traces are left, in {', '.join(proof.found[:5])}: this is a bug in gristmill,"
            " please report it"
        )


def _knows(blobs: BlobStore, manifest: AnyManifest, target: Target) -> bool:
    if manifest.sources is None:
        raise FormatError(
            f"snapshot {manifest.snapshot_id} may hold what is to be forgotten, but {manifest.advice}."
            " Nothing was changed"
        )
    with pa.memory_map(str(blobs.local_path(manifest.sources.key))) as file:
        rows = pa.ipc.open_file(file).read_all()
        known = pc.or_(
            pc.is_in(rows["source_id"], value_set=pa.array(target.source_ids, pa.string())),
            pc.is_in(rows["uri"], value_set=pa.array(target.uris, pa.string())),
        )
        return bool(pc.any(known, min_count=0).as_py())


def _reports_about(blobs: BlobStore, target: Target) -> list[str]:
    """Reports of runs that name a path."""
    named = [escaped(path).encode() for path in target.paths]
    return [key for key in blobs.list(_REPORTS) if any(name in blobs.get(key) for name in named)]


def _needles(view: LakeView, target: Target) -> dict[str, list[bytes]]:
    """What must not be found afterwards, by kind; what live content has as well is none."""
    of_source = pc.field("source_id").isin(pa.array(target.source_ids, pa.string()))
    units = view.all_rows(paths.UNITS, ["text", *INPUT_COLUMNS.values()], of_source)
    texts = {text.encode() for text in units["text"].to_pylist() if len(text) >= _MIN_TEXT_CHARS}
    live = view.live_units(columns=["text", *INPUT_COLUMNS.values()])
    kept = b"\0".join(text.encode() for text in live["text"].to_pylist())
    probes = {probe for text in texts for probe in (text[:_START_BYTES], _middle(text))}
    shared = {name for column in INPUT_COLUMNS.values() for name in live[column].to_pylist()}
    pixels = set(units["pixels_hash"].to_pylist())
    hashes = {name for column in INPUT_COLUMNS.values() for name in units[column].to_pylist()}
    return {
        "uri": [uri.encode() for uri in target.uris],
        "source_id": [source_id.encode() for source_id in target.source_ids],
        "unit_id": [unit_id.encode() for unit_id in units["unit_id"].to_pylist()],
        "pixels_hash": [name.encode() for name in sorted(pixels - shared - {""})],
        "text": sorted(probe for probe in probes if probe not in kept),
        "vector": sorted(set(_vectors(view, hashes - shared - {""}))),
    }


def _middle(text: bytes) -> bytes:
    """Some bytes out of the middle: starts and ends of texts are alike more often."""
    start = max(0, (len(text) - _PROBE_BYTES) // 2)
    return text[start : start + _PROBE_BYTES]


def _vectors(view: LakeView, hashes: set[str]) -> Iterator[bytes]:
    wanted = pc.field("input_hash").isin(pa.array(sorted(hashes), pa.string()))
    for key in view.space_keys():
        rows = view.all_rows(paths.embeddings(key), ["vector"], wanted)
        for vector in rows["vector"].combine_chunks():
            probe = vector.values.to_numpy().tobytes()[:_PROBE_BYTES]
            if len(probe) == _PROBE_BYTES:  # a few weights may stand anywhere
                yield probe


def _search(blobs: BlobStore, needles: dict[str, list[bytes]], proof: Proof) -> None:
    chosen = {kind: _evenly(found) for kind, found in needles.items()}
    proof.needles = {kind: len(found) for kind, found in chosen.items()}
    for key in blobs.list():
        data = blobs.get(key)
        proof.searched_files += 1
        proof.searched_bytes += len(data)
        for haystack in _readings(key, data):
            for kind, wanted in chosen.items():
                if any(needle in haystack for needle in wanted):
                    proof.found.append(f"{key}: {kind}")


def _evenly(found: list[bytes]) -> list[bytes]:
    step = max(1, len(found) // _NEEDLES)
    return found[::step][:_NEEDLES]


def _readings(key: str, data: bytes) -> Iterable[bytes]:
    """The name, the bytes as they are, and what is compressed in them: strings, the digest of pixels."""
    yield key.encode()
    yield data
    if hash_in(key):
        with suppress(IntegrityError):  # damaged: then it has nobody's pixels
            yield hash_pixels(unpack(data, key)).encode()
    if is_content(key):
        with suppress(IntegrityError, ValueError):
            yield b"\0".join(_strings(json.loads(text_of(data, key))))
    if key.endswith(".parquet"):
        rows = pq.read_table(pa.BufferReader(data))
        if "/_delta_log/" in key:  # a checkpoint: strings within structs
            yield json.dumps(rows.to_pylist(), default=str, ensure_ascii=False).encode()
            return
        for name in rows.column_names:
            if pa.types.is_string(rows[name].type):
                yield b"\0".join(v.encode() for v in rows[name].to_pylist() if v is not None)


def _strings(value: Any) -> Iterator[bytes]:
    """Every string in what JSON gave."""
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
