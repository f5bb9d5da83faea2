"""What kinds of questions belong to which partition, in words: sentences to embed, cues to look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Described:
    """Sentences like the questions a partition answers, and words that name its kind."""

    sentences: tuple[str, ...]
    cues: tuple[str, ...]


ROUTES: Final[dict[str, Described]] = {
    "text/paragraph": Described(
        ("What is it and how does it work?", "Who did this and when?", "Why does this happen?"),
        ("what is", "who", "why", "how do", "how does", "how can", "when did", "define"),
    ),
    "text/document": Described(
        ("an article about a subject", "news about an event", "a document that explains a topic"),
        ("article", "document", "essay", "report about", "news"),
    ),
    "table/row": Described(
        ("What was the value in that year?", "How many were counted in the list?"),
        ("how many", "how much", "number of", "in which year", "row", "count of"),
    ),
    "table/table": Described(
        ("a table of figures by year", "a list of values with columns"),
        ("table", "spreadsheet", "columns", "csv"),
    ),
    "page/page": Described(
        (
            "On which page of the manual is this explained?",
            "a section of a manual",
            "a scanned letter",
        ),
        (
            "page",
            "pdf",
            "manual",
            "section",
            "chapter",
            "scan",
            "scanned",
            "appendix",
            "reference card",
        ),
    ),
    "page/region": Described(
        ("a chart in a report", "a figure that shows a diagram"),
        ("figure", "chart", "diagram", "plot", "graph", "drawing of"),
    ),
    "image/image": Described(
        ("a photo of an animal", "a picture of an object", "an image of a thing"),
        ("photo", "picture", "image", "photograph", "portrait", "illustration", "a drawing"),
    ),
    "audio/segment": Described(
        ("the sound of an animal", "someone says these words", "a voice speaking"),
        (
            "sound",
            "noise",
            "says",
            "said",
            "spoken",
            "voice",
            "hear",
            "recording",
            "speech",
            "audio",
        ),
    ),
    "audio/recording": Described(
        ("a recording of a speech", "a sound effect"),
        ("recording", "interview", "audio", "sound", "song", "music"),
    ),
    "video/clip": Described(
        ("the moment in the video where this happens", "a scene of a film"),
        ("video", "clip", "scene", "film", "footage", "moment", "movie"),
    ),
    "video/video": Described(
        ("a video about this", "a film that shows how it is done"),
        ("video", "film", "movie", "footage", "documentary"),
    ),
}
