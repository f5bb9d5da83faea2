"""The spaces of a lake: what each one has, and taking one out. No engine, no Prefect."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from flows import wiring
from flows.beside import is_installed
from flows.manifests import manifest_key, published_manifest
from flows.surroundings import new_run_id
from infra import pointer
from infra.lake.spaces import lacking
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from stages.route.search import is_routable, routed_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.lake import Lake
    from schemas.config import Config
    from schemas.space import SpaceContract


@dataclass(frozen=True, slots=True)
class SpaceRow:
    """One space of a lake.

    Attributes:
        name: Of the space.
        key: Its name with its fingerprint.
        input: ``text`` or ``pixels``; empty where nobody knows what it is any more.
        model: That makes its vectors; empty as before.
        dim: Of its vectors; 0 as before.
        vectors: Live units that have one.
        table_bytes: Of its table, past versions included.
        index_bytes: Of the files of its indices in the published snapshot.
        sources: Live sources.
        lacking: Those of them that are not complete in it.
        published: The published snapshot has it.
        in_profile: The configuration names it.
        installed: Its encoder is there, with this very contract.
        dropped: Its rows go with the next maintenance.
    """

    name: str
    key: str
    input: str
    model: str
    dim: int
    vectors: int
    table_bytes: int
    index_bytes: int
    sources: int
    lacking: int
    published: bool
    in_profile: bool
    installed: bool
    dropped: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A space that was dropped; `snapshot` was published without it, empty where the published one had none of it."""

    name: str
    key: str
    snapshot: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def list_spaces(lake_url: str, config: Config) -> list[SpaceRow]:
    """Every space that the lake or the profile has, by key.

    Raises:
        LakeError: There is no lake.
    """
    lake = wiring.open_lake(lake_url)
    view, published = lake.view(), published_manifest(lake.blobs)
    wanted = {space.key for space in wiring.contracts(config)}
    served = {space.key for space in published.spaces} if published else set()
    contracts, dropped = _contracts(lake, config), lake.spaces.dropped()
    vectors: dict[str, int] = defaultdict(int)
    for label, count in view.vector_counts().items():
        vectors[label.rpartition(" @ ")[2]] += count
    rows = []
    for key in sorted({*view.space_keys(), *contracts}):
        space = contracts.get(key)
        rows.append(
            SpaceRow(
                name=space.name if space else key.rpartition("-")[0],
                key=key,
                input=space.input if space else "",
                model=space.model if space else "",
                dim=space.dim if space else 0,
                vectors=vectors[key],
                table_bytes=sum(lake.blobs.sizes(f"tables/embeddings/{key}").values()),
                index_bytes=_index_bytes(published, key),
                sources=view.live.live_units.num_rows,
                lacking=len(lacking(view, key)),
                published=key in served,
                in_profile=key in wanted,
                installed=space is not None and is_installed(space),
                dropped=key in dropped,
            )
        )
    return rows


def drop_space(
    lake_url: str, name: str, config: Config, note: Callable[[str], None] = lambda _: None
) -> Dropped:
    """Hide a space from every snapshot to come; maintenance takes its rows.

    If the published snapshot has it, one without it is published first: the same files, but for those of this space.
    Words and sparse postings that stand beside its indices go too, until the next run builds them beside others.

    Args:
        lake_url: The lake.
        name: Of the space, or its key.
        config: Names the profile, and how long to wait for a run.
        note: Hears who is waited for.

    Raises:
        ConfigError: There is no such space, or it cannot be done without.
        ConflictError: Another run did not end in time.
        LakeError: There is no lake.
    """
    lake = wiring.open_lake(lake_url)
    run_id = new_run_id()
    with lake.writer(
        run_id, wait_s=config.runs.wait_s, on_wait=lambda who: note(f"waiting for {who}")
    ):
        contracts = _contracts(lake, config)
        key = _find(name, {*lake.space_keys(), *contracts})
        _require_spare(lake, key, contracts, config)
        manifest = _without(published_manifest(lake.blobs), key, run_id)
        if manifest is not None:
            lake.blobs.put(manifest_key(manifest.snapshot_id), manifest.to_json().encode())
            pointer.publish(lake.blobs, manifest.snapshot_id, run_id=run_id, reason=f"drop {key}")
        lake.spaces.drop(key)
    return Dropped(key.rpartition("-")[0], key, manifest.snapshot_id if manifest else "")


def _contracts(lake: Lake, config: Config) -> dict[str, SpaceContract]:
    """What is known of any space, by key."""
    published = published_manifest(lake.blobs)
    named = [*wiring.contracts(config), *(published.spaces if published else ())]
    return {space.key: space for space in named} | lake.spaces.contracts()


def _index_bytes(published: Manifest | None, key: str) -> int:
    if published is None:
        return 0
    entries = [e for e in published.indexes if e.space == key]
    postings = [e for e in published.inverted if e.encoder == key]
    files = chain.from_iterable([*(e.files() for e in entries), *(e.files() for e in postings)])
    return sum({ref.key: ref.size_bytes for ref in files}.values())


def _find(name: str, keys: set[str]) -> str:
    if name in keys:
        return name
    found = sorted(key for key in keys if key.rpartition("-")[0] == name)
    if len(found) > 1:
        raise ConfigError(f"{name} is the name of several spaces: say which, {', '.join(found)}")
    if not found:
        raise ConfigError(f"the lake has no space {name}: gristmill spaces lists them")
    return found[0]


def _require_spare(
    lake: Lake, key: str, contracts: dict[str, SpaceContract], config: Config
) -> None:
    """Refuse to take what the next run would make again, or what questions are routed by, if nothing else is."""
    if key in {space.key for space in wiring.contracts(config)}:
        raise ConfigError(
            f"{key} is in profile.spaces, so the next run would make it again: take it out of there first, and"
            " give that configuration with --config"
        )
    if key in contracts and not is_routable(contracts[key]):
        return
    dropped, view = lake.spaces.dropped(), lake.view()
    others = (s for s in contracts.values() if is_routable(s) and s.key not in {key, *dropped})
    if not any(len(lacking(view, space.key)) == 0 for space in others):
        raise ConfigError(
            f"{key} is the last text space in which every source is complete, and questions are routed by one: add"
            " another first, with gristmill reindex --space NAME"
        )


def _without(published: Manifest | None, key: str, run_id: str) -> Manifest | None:
    """The published snapshot without a space; None if it has none of it."""
    if published is None or key not in {space.key for space in published.spaces}:
        return None
    spaces = tuple(space for space in published.spaces if space.key != key)
    indexes = tuple(entry for entry in published.indexes if entry.space != key)
    maps = tuple(m for m in published.maps if key not in (m.source, m.target))
    inverted = tuple(e for e in published.inverted if key not in (e.space, e.encoder))
    if not any(map(is_routable, spaces)):
        raise ConfigError(
            f"the published snapshot would have no text space without {key}: publish another one first, with"
            " gristmill reindex --space NAME"
        )
    by = published.router.get("space")
    left = [space for space in spaces if space.key == by] + [s for s in spaces if s.key != by]
    mapped = {m.target for m in maps}
    router = routed_by([space for space in left if space.key not in mapped])
    return replace(
        published,
        snapshot_id=Manifest.identity(
            spaces, indexes, published.sources, router=router, inverted=inverted, maps=maps
        ),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=run_id,
        spaces=spaces,
        indexes=indexes,
        router=router,
        inverted=inverted,
        maps=maps,
        probes={at: probe for at, probe in published.probes.items() if at != key},
    )
