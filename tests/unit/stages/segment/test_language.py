# ruff: noqa: RUF001  # texts in Greek, Russian and Chinese letters
from __future__ import annotations

import numpy as np
import pytest

from schemas.content import (
    Block,
    Content,
    ImageContent,
    PageContent,
    RegionContent,
    TableData,
)
from schemas.partition import TEXT_DOCUMENT, TEXT_PARAGRAPH
from stages.segment._language import language_of, language_of_document
from stages.segment.options import SegmentOptions
from stages.segment.passages import segment_passages
from stages.segment.registry import segment

ENGLISH = "The mill stands by the river and grinds the grain that the farmers of the valley bring every autumn."
GERMAN = (
    "Die Mühle steht am Fluss und mahlt das Korn, das die Bauern aus dem Tal jeden Herbst bringen."
)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", ENGLISH),
        ("de", GERMAN),
        (
            "fr",
            "Le moulin se trouve au bord de la rivière et moud le grain que les paysans apportent en automne.",
        ),
        (
            "ru",
            "Мельница стоит у реки и мелет зерно, которое крестьяне привозят каждую осень из долины.",
        ),
        ("zh", "磨坊坐落在河边，每年秋天磨着农民们从山谷里带来的谷物。"),
        ("ja", "水車小屋は川のそばに立ち、毎年秋に農民が運んでくる穀物を挽いています。"),
        ("ko", "방앗간은 강가에 서 있으며 매년 가을 농부들이 가져오는 곡식을 빻습니다."),
        (
            "el",
            "Ο μύλος στέκεται δίπλα στο ποτάμι και αλέθει το σιτάρι που φέρνουν οι αγρότες κάθε φθινόπωρο.",
        ),
    ],
)
def test_languages_are_told_apart(code: str, text: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize(
    "text", ["", "Mill 1810", "3.14 2.71 1.41 " * 50, "x = f(y)", "GmbH & Co. KG"]
)
def test_what_is_too_short_or_no_prose_has_the_language_of_what_is_around_it(text: str) -> None:
    assert language_of(text) == ""
    assert language_of(text, "de") == "de"


def test_a_document_is_known_by_its_beginning() -> None:
    assert language_of_document(["Kurz.", GERMAN, *[ENGLISH] * 100]) in ("en", "de")
    assert language_of_document(["a", "b"]) == ""


def test_units_have_their_own_language_or_that_of_their_document() -> None:
    blocks = (
        Block("heading", "Eins", 1),
        Block("paragraph", " ".join([GERMAN] * 6)),
        Block("heading", "Zwei", 1),
        Block("paragraph", "Kurz."),
        Block("heading", "Drei", 1),
        Block("paragraph", f"{ENGLISH} {ENGLISH}"),
        Block("heading", "Vier", 1),
        Block("code", "def turn(wheel):\n    return wheel.turn(times=3) # the wheel turns\n" * 5),
    )
    units = segment_passages("source", Content("text/plain", blocks=blocks), (), SegmentOptions())
    found = {unit.context: unit.language for unit in units if unit.partition == TEXT_PARAGRAPH}
    assert found == {"Eins": "de", "Zwei": "de", "Drei": "en", "Vier": "de"}
    assert [unit.language for unit in units if unit.partition == TEXT_DOCUMENT] == ["de"]


PIXELS = (np.zeros((1, 8, 8, 3), np.uint8),)


def test_pages_and_regions_have_the_language_of_their_text_or_of_their_document() -> None:
    content = Content(
        "application/pdf",
        blocks=(Block("paragraph", f"{GERMAN} {GERMAN}"),),
        pages=(
            PageContent(1, 600, 800, f"{GERMAN} {GERMAN}", 0),
            PageContent(2, 600, 800, f"{ENGLISH} {ENGLISH}", 0),
            PageContent(3, 600, 800, "12", 0),
            PageContent(4, 600, 800, "", 0),
        ),
        regions=(
            RegionContent("figure", 1, (0.0, 0.0, 9.0, 9.0), ENGLISH, 0),
            RegionContent("figure", 2, (0.0, 0.0, 9.0, 9.0), "Abb. 1", 0),
            RegionContent("figure", 3, (0.0, 0.0, 9.0, 9.0), "", 0),
        ),
    )
    units = segment("source", content, PIXELS, SegmentOptions())
    found = {(str(u.partition), u.locator.page): u.language for u in units if u.locator.page}
    assert [found["page/page", number] for number in (1, 2, 3, 4)] == ["de", "en", "de", ""]
    assert [found["page/region", number] for number in (1, 2, 3)] == ["en", "de", ""]


def test_tables_have_the_language_of_the_sentences_in_them_or_of_their_document() -> None:
    sentences = TableData("", ("Nr.", "Text"), (("1", GERMAN), ("2", GERMAN)))
    names = TableData(
        "", ("Mill", "Owner"), tuple(("Nordmühle", "Meyer & Sohn") for _ in range(40))
    )
    blocks = (Block("paragraph", f"{ENGLISH} {ENGLISH}"),)
    for document, language in ((blocks, "en"), ((), "")):
        content = Content("text/html", blocks=document, tables=(sentences, names))
        units = segment("source", content, (), SegmentOptions())
        found = {(u.locator.table, u.locator.row is None): u.language for u in units}
        assert [found[1, True], found[1, False]] == ["de", "de"]
        assert [found[2, True], found[2, False]] == [language, language]


def test_a_picture_has_the_language_of_what_is_written_on_it() -> None:
    for text, language in ((GERMAN, "de"), ("STOP", "")):
        content = Content("image/png", image=ImageContent(8, 8, 0, text=text))
        (unit,) = segment("source", content, PIXELS, SegmentOptions())
        assert unit.language == language
