"""From the id of a unit in the lake to a picture of it, drawn from the bytes that it was cut from or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError, UnreadableError
from schemas.partition import Partition
from schemas.unit import Locator

if TYPE_CHECKING:
    from infra.lake import KnownPath, LakeView
    from schemas.config import Config
    from schemas.source import SourceFile
    from stages.preview.registry import Preview

_LEAST_CHARS: Final = 6
_SHOWN_CHARS: Final = 12  # of a digest, in messages
_COLUMNS: Final = [
    "unit_id",
    "source_id",
    "modality",
    "granularity",
    "locator",
    "attributes",
    "batch",
]


@dataclass(frozen=True, slots=True)
class UnitPreview:
    """A unit, where it is, and its picture."""

    unit_id: str
    partition: Partition
    locator: Locator
    path: str
    preview: Preview

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the picture."""
        return {
            "unit_id": self.unit_id,
            "partition": str(self.partition),
            "path": self.path,
            "locator": self.locator.as_dict(),
            "media_type": self.preview.media_type,
            "width": self.preview.width,
            "height": self.preview.height,
            "bytes": len(self.preview.data),
        }


def preview_unit(lake_url: str, unit_id: str, config: Config) -> UnitPreview:
    """Draw one live unit of a lake.

    Args:
        lake_url: The lake.
        unit_id: Its id, or the start of it.
        config: Limits.

    Raises:
        ConfigError: No live unit has that id, or several begin so.
        UnreadableError: No name of the source has the bytes any more; says what each has.
        UnsupportedError: A unit of this kind has no picture.
        SourceError: See :func:`stages.preview.registry.preview`.
    """
    from flows.wiring import open_lake
    from infra.sources import open_file
    from stages.preview.apart import preview_apart
    from stages.preview.options import PreviewOptions

    view = open_lake(lake_url).view()
    row = _unit_row(view, unit_id)
    partition = Partition(row["modality"], row["granularity"])
    locator = _locator(row["locator"])
    times = json.loads(row["attributes"] or "{}").get("frames_s", "")
    options = PreviewOptions(
        config.limits,
        frames_s=tuple(map(float, times.split())),
        passwords=config.decoding.passwords,
    )
    file = _source(view, row["source_id"])
    media_type = view.facts([row["source_id"]])[row["source_id"]].media_type
    with open_file(file, limit_bytes=config.limits.file_bytes) as path:
        drawn = preview_apart(path, partition, locator, media_type, options)
    return UnitPreview(row["unit_id"], partition, locator, file.path, drawn)


def _unit_row(view: LakeView, unit_id: str) -> dict[str, Any]:
    import pyarrow.compute as pc

    from infra.lake import paths
    from infra.lake.live import is_latest

    if len(unit_id) < _LEAST_CHARS:
        raise ConfigError(f"{unit_id!r} is too short: give {_LEAST_CHARS} characters of an id")
    begins = pc.starts_with(pc.field("unit_id"), unit_id)
    rows = view.all_rows(paths.UNITS, _COLUMNS, begins)
    rows = rows.filter(is_latest(rows, "source_id", view.live.live_units))
    found = {row["unit_id"]: row for row in rows.to_pylist()}
    if not found:
        raise ConfigError(
            f"no live unit of this lake has the id {unit_id}: gristmill search --json prints ids"
        )
    if len(found) > 1:
        raise ConfigError(f"{len(found)} units have ids that begin with {unit_id}: give more of it")
    return next(iter(found.values()))


def _locator(text: str) -> Locator:
    fields = json.loads(text)
    if fields.get("bbox"):
        fields["bbox"] = tuple(fields["bbox"])
    return Locator(**fields)


def _source(view: LakeView, source_id: str) -> SourceFile:
    """A file that has the bytes of the source now."""
    known = [path for path in view.state().paths.values() if path.source_id == source_id]
    wrong = []
    for path in sorted(known, key=lambda path: path.uri):
        file, reason = _looked_at(path)
        if file is not None:
            return file
        wrong.append(f"{path.uri} {reason}")
    raise UnreadableError(
        f"the file that the unit was cut from cannot be had: {'; '.join(wrong)}."
        " gristmill run over its folder makes the lake follow"
    )


def _looked_at(known: KnownPath) -> tuple[SourceFile | None, str]:
    """The file if its content is what the lake knows, else what is wrong with it."""
    from flows.listing import look_again
    from infra.sources import store_of

    file, reason = look_again(known.uri, known.root)
    if file is None:
        return None, "is no longer there: moved or deleted"
    if reason:
        return None, reason
    stamps = (
        (file.size_bytes, file.mtime_ns, file.etag),
        (known.size_bytes, known.mtime_ns, known.etag),
    )
    if stamps[0] == stamps[1] and (file.etag or file.mtime_ns):
        return replace(file, content_hash=known.content_hash), ""
    hashed = store_of(known.uri).hash(file)
    if hashed.reason:
        return None, hashed.reason
    digest = hashed.file.content_hash
    if digest != known.content_hash:
        return None, (
            f"has changed: its bytes are sha256 {digest[:_SHOWN_CHARS]}..., the unit was cut from"
            f" {known.content_hash[:_SHOWN_CHARS]}..."
        )
    return hashed.file, ""
