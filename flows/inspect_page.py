"""The page of `gristmill inspect --html`: pictures of a file with what was cut out of it drawn over them.

One file, no script, no address: its policy forbids the browser to load anything. What comes from the inspected file
is escaped by the template. Pictures stop at 24 MiB, and lists at a few hundred lines; the page says where.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows.page_sheets import sheets_of
from flows.page_tracks import clips_of, sound_of, timeline_of
from flows.show_inspect import place_of
from schemas.errors import SourceError, UnreadableError
from schemas.partition import IMAGE_IMAGE, IMAGE_REGION, TEXT_PARAGRAPH
from schemas.unit import Locator, clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from flows.inspect import Inspected
    from schemas.config import Config
    from schemas.partition import Partition
    from schemas.unit import Unit

_PICTURE_BYTES: Final = 24 << 20
_LISTED: Final = 500
_TABLE_ROWS: Final = 30
_TABLES: Final = 40
_MIB: Final = 1 << 20


class Pictures:
    """Draws and encodes pictures of one file until they have taken so many bytes.

    Attributes:
        left_out: Pictures that there was no room for.
        failed: Reasons why others could not be drawn.
    """

    def __init__(self, path: Path | None, media_type: str, config: Config) -> None:
        self._path = path
        self._media_type = media_type
        self._config = config
        self._bytes_left = _PICTURE_BYTES
        self.left_out = 0
        self.failed: dict[str, None] = {}

    def preview(self, partition: Partition, locator: Locator, side_px: int) -> str:
        """A preview from the source as a data URI; empty if there is none."""
        from stages.preview.options import PreviewOptions
        from stages.preview.registry import preview

        if not self._has_room() or self._path is None:
            return ""
        passwords = self._config.decoding.passwords
        options = PreviewOptions(self._config.limits, side_px, passwords=passwords)
        try:
            drawn = preview(self._path, partition, locator, self._media_type, options)
        except SourceError as error:
            self.failed[error.message] = None
            return ""
        return self._uri(drawn.data, drawn.media_type)

    def array(self, pixels: np.ndarray, side_px: int) -> str:
        """Pixels as an encoder sees them, uint8 [S, S, 3], as a data URI; empty if there is no room."""
        from PIL import Image

        from stages.preview.registry import encoded

        if not self._has_room():
            return ""
        picture = Image.fromarray(pixels)
        picture.thumbnail((side_px, side_px))
        drawn = encoded(picture)
        return self._uri(drawn.data, drawn.media_type)

    def _has_room(self) -> bool:
        self.left_out += self._bytes_left <= 0
        return self._bytes_left > 0

    def _uri(self, data: bytes, media_type: str) -> str:
        self._bytes_left -= len(data)
        return f"data:{media_type};base64,{b64encode(data).decode()}"


def render(found: Inspected, config: Config, watch: Callable[[str], None]) -> str:
    """The page as text.

    Args:
        found: What became of the file.
        config: Limits of drawing; the same as of decoding.
        watch: Hears what is drawn.
    """
    from infra.sources import open_file

    media_type = found.content.media_type if found.content else ""
    limit_bytes = config.limits.file_bytes
    if found.content is None:
        return _page(found, Pictures(None, media_type, config), watch)
    with suppress(UnreadableError), open_file(found.file, limit_bytes=limit_bytes) as path:
        return _page(found, Pictures(path, media_type, config), watch)
    found.notes.append("it changed after it was decoded: there are no pictures of it")
    return _page(found, Pictures(None, media_type, config), watch)


def _page(found: Inspected, pictures: Pictures, watch: Callable[[str], None]) -> str:
    content = found.content
    sections: dict[str, Any] = {"sheets": [], "clips": [], "sound": None, "image": None}
    if content is not None:
        sections = {
            "sheets": sheets_of(found, pictures, watch),
            "image": _image_of(found, pictures),
            "clips": clips_of(found, pictures),
            "timeline": timeline_of(content),
            "sound": sound_of(found, pictures, watch),
        }
    page: str = _template().render(
        found=found,
        content=content,
        size_mib=found.file.size_bytes / _MIB,
        passages=_passages(found),
        tables=content.tables[:_TABLES] if content else (),
        table_rows=_TABLE_ROWS,
        listed=found.units[:_LISTED],
        more=max(0, len(found.units) - _LISTED),
        pictures=pictures,
        **sections,
    )
    return page


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    environment.filters["words"] = lambda text: len(text.split())
    environment.filters["lost"] = place_of
    return environment.get_template("inspect.html")


def _image_of(found: Inspected, pictures: Pictures) -> dict[str, Any] | None:
    """The picture, what its encoder sees, and boxes of regions in shares of it."""
    image = found.content.image if found.content else None
    if image is None:
        return None
    whole = next((unit for unit in found.units if unit.partition == IMAGE_IMAGE), None)
    regions = [unit for unit in found.units if unit.partition == IMAGE_REGION]
    return {
        "uri": pictures.preview(IMAGE_IMAGE, Locator(), 1400),
        "width": image.width,
        "height": image.height,
        "text": image.text,
        "unit": whole,
        "seen": [_seen(unit, found, pictures) for unit in (whole, *regions) if unit],
        "boxes": [(str(n), unit.locator.bbox) for n, unit in enumerate(regions, 1)],
    }


def _seen(unit: Unit, found: Inspected, pictures: Pictures) -> tuple[str, str]:
    """Name and picture of what an encoder gets."""
    uri = ""
    if unit.pixels_array is not None:
        uri = pictures.array(found.arrays[unit.pixels_array][0], 224)
    return unit.locator.as_text() or str(unit.partition), uri


def _passages(found: Inspected) -> Sequence[Unit]:
    """Passages of a file without pages; those of pages stand beside their page."""
    if found.content is None or found.content.pages:
        return []
    return [unit for unit in found.units if unit.partition == TEXT_PARAGRAPH][:_LISTED]
