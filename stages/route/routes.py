"""What kinds of questions belong to which partition: sentences like them, and words that name the kind of thing.

English, as the starter encoders are. A partition without a described route cannot be searched, so a new one comes with
a row here (tests/unit/stages/route/test_router.py holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Described:
    """A route in words.

    Attributes:
        sentences: Like the questions that the partition answers.
        names: Words by which a question says that it wants this kind of thing.
    """

    sentences: tuple[str, ...]
    names: tuple[str, ...]


# A page of a document is found by its passages as well as by its picture: these words name both.
_PAGES: Final = (
    "page",
    "pages",
    "pdf",
    "manual",
    "chapter",
    "section",
    "appendix",
    "scan",
    "scanned",
    "handbook",
)
_FIGURES: Final = (
    "figure",
    "chart",
    "diagram",
    "graph",
    "plot",
    "map",
    "floor plan",
    "drawing of",
    "section of",
)
_TABLES: Final = ("table", "spreadsheet", "csv", "column", "row", "rows")
_AMOUNTS: Final = (
    "how many",
    "how much",
    "number of",
    "price",
    "total",
    "per year",
    "in which year",
)
_PICTURES: Final = (
    "photo",
    "photos",
    "photograph",
    "picture",
    "pictures",
    "image",
    "images",
    "portrait",
    "illustration",
    "drawing",
    "painting",
    "clip art",
    "icon",
)
_SOUNDS: Final = (
    "sound",
    "sounds",
    "noise",
    "audio",
    "recording",
    "recordings",
    "voice",
    "says",
    "said",
    "saying",
    "spoken",
    "speaker",
    "speech",
    "hear",
    "heard",
    "listen",
    "podcast",
    "interview",
    "song",
    "music",
)
_VIDEOS: Final = (
    "video",
    "videos",
    "film",
    "movie",
    "clip",
    "footage",
    "documentary",
    "scene",
    "filmed",
)
_TEXTS: Final = ("article", "essay", "text", "document", "paragraph", "passage", "story", "news")

ROUTES: Final[dict[str, Described]] = {
    "text/paragraph": Described(
        ("What is it and how does it work?", "Who did this and when?", "Why does this happen?"),
        (*_TEXTS, *_PAGES, *_AMOUNTS),
    ),
    "text/document": Described(
        ("an article about a subject", "news about an event", "a document that explains a topic"),
        (*_TEXTS, *_PAGES),
    ),
    "table/row": Described(
        ("What was the value in that year?", "How many were counted in the list?"),
        (*_TABLES, *_AMOUNTS),
    ),
    "table/table": Described(
        ("a table of figures by year", "a list of values with columns"),
        _TABLES,
    ),
    "page/page": Described(
        (
            "On which page of the manual is this explained?",
            "a section of a manual",
            "a scanned letter",
        ),
        (*_PAGES, *_FIGURES, *_TABLES),
    ),
    "page/region": Described(
        ("a chart in a report", "a figure that shows a diagram"),
        (*_FIGURES, *_TABLES),
    ),
    "image/image": Described(
        ("a photo of an animal", "a picture of an object", "an image of a thing"),
        _PICTURES,
    ),
    "image/region": Described(
        ("a detail of a picture", "a small object in the corner of a photo"),
        _PICTURES,
    ),
    "audio/segment": Described(
        ("the sound of an animal", "someone says these words", "a voice speaking"),
        _SOUNDS,
    ),
    "audio/recording": Described(
        ("a recording of a speech", "a sound effect"),
        _SOUNDS,
    ),
    "video/clip": Described(
        ("the moment in the video where this happens", "a scene of a film"),
        _VIDEOS,
    ),
    "video/video": Described(
        ("a video about this", "a film that shows how it is done"),
        _VIDEOS,
    ),
}
