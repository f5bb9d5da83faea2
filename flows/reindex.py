"""Reindexing: the units that a lake has are embedded in another space, or cut anew, without listing their sources."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flows import wiring
from flows.beside import published_beside
from flows.kept import spare_recutting, undecoded
from flows.plan import Again, Contents, Plan
from infra.lake.spaces import lacking
from infra.payloads import Payloads
from schemas.errors import ConfigError, GateError
from schemas.source import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.lake import KnownPath, Lake, LakeState
    from schemas.config import Config
    from schemas.space import SpaceContract

    Spaces = tuple[SpaceContract, ...]

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Reindexing:
    """What is to be done anew.

    Attributes:
        space: Name of the space to embed in; empty to cut all that is cut otherwise now, in the spaces there are.
        publish: Publish the snapshot that is built.
    """

    space: str = ""
    publish: bool = True

    @classmethod
    def of(cls, space: str, *, resegment: bool, publish: bool = True) -> Reindexing:
        """From the command line.

        Raises:
            ConfigError: It asks for neither, or for both.
        """
        if bool(space) == resegment:
            raise ConfigError("say what is to be done anew: --space NAME, or --resegment")
        return cls(space, publish)

    def choose(self, lake: Lake, config: Config) -> tuple[Spaces, Spaces]:
        """The spaces to embed in, and those that may be published beside them.

        Raises:
            ConfigError: There is no such space, or it takes pictures of another size than units have.
        """
        profile = wiring.contracts(config)
        if not self.space:
            return (*profile, *published_beside(lake, profile)), ()
        (wanted,) = wiring.contracts(config, (self.space,))
        side = wiring.frame_size(profile)
        if wanted.input == "pixels" and wanted.frame_size != side:
            raise ConfigError(
                f"{self.space} takes pictures of {wanted.frame_size} pixels, units have {side}: set"
                f" spaces.{self.space}.frame_size = {side}"
            )
        others = [space for space in profile if space.name != self.space]
        return (wanted,), (*others, *published_beside(lake, (wanted, *others)))

    def plan(self, lake: Lake, state: LakeState, config: Config, spaces: Spaces) -> Plan:
        """What there is to do in these spaces, the ones that `choose` gave first."""
        if self.space:
            return plan_space(lake, state, spaces[0])
        fingerprint = wiring.fingerprint(config)
        return plan_cuts(state, fingerprint, wiring.kept_contents(lake, config).kept())


def plan_space(lake: Lake, state: LakeState, space: SpaceContract) -> Plan:
    """Every live source that lacks vectors in a space; their units stay, however they were cut.

    Args:
        lake: Where they are.
        state: What it knows.
        space: Which.
    """
    view = lake.view()
    short = set(lacking(view, space.key).to_pylist())
    decode = undecoded(view, Payloads(lake.blobs), sorted(short), space)
    plan = Plan(listed=False)
    for contents in _live_contents(state):
        source_id = contents.first.source_id
        plan.found += len(contents.files)
        if source_id in short:
            plan.again.append(Again(contents, (space.key,), decode=source_id in decode))
        else:
            plan.unchanged += len(contents.files)
    return plan


def plan_cuts(state: LakeState, fingerprint: str, kept: Mapping[str, str]) -> Plan:
    """Every live source that is cut otherwise now: from its content, where that is kept, else it is decoded.

    Args:
        state: What the lake knows.
        fingerprint: Of decoding and segmenting, as it would be done now.
        kept: Keys of contents as decoding would give them now, by source_id.
    """
    plan = Plan(listed=False)
    for contents in _live_contents(state):
        plan.found += len(contents.files)
        if state.units_done[contents.first.source_id][0] == fingerprint:
            plan.unchanged += len(contents.files)
        else:
            plan.decode.append(contents)
    spare_recutting(plan, kept)
    return plan


def require_complete(lake: Lake, space: SpaceContract) -> None:
    """Refuse to publish a space in which a live source has no vectors.

    Raises:
        GateError: Names some of the sources.
    """
    view = lake.view()
    missing = set(lacking(view, space.key).to_pylist())
    if missing:
        paths = sorted(k.path for k in view.state().paths.values() if k.source_id in missing)
        more = len(paths) - _SHOWN
        named = ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        raise GateError(
            f"{len(missing)} sources could not be embedded in {space.name}: {named}. What was embedded stays, and so"
            " does the snapshot in use. gristmill run over their folders brings the lake up to date, or gristmill"
            " forget them; then once more"
        )


def _live_contents(state: LakeState) -> Iterable[Contents]:
    """What has units, with its names, in order of uri. What was withdrawn by a repair has none: a run reads it."""
    names: dict[str, list[SourceFile]] = defaultdict(list)
    for uri in sorted(state.paths):
        known = state.paths[uri]
        if known.has_content and known.source_id in state.units_done:
            names[known.source_id].append(_file(known))
    return [Contents(files[0], tuple(files[1:])) for files in names.values()]


def _file(known: KnownPath) -> SourceFile:
    return SourceFile(
        uri=known.uri,
        root=known.root,
        path=known.path,
        size_bytes=known.size_bytes,
        mtime_ns=known.mtime_ns,
        content_hash=known.content_hash,
        etag=known.etag,
    )
