from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.config import Limits
from schemas.errors import LimitError, NoContentError
from stages.decode.html import decode_html
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

PAGE = """<!DOCTYPE html><html><head><title>Grain mills - The Site</title><style>p{}</style></head>
<body><nav><ul><li>Home</ul></nav>
<h1>Grain mills</h1>
<p>First <b>para</b>graph<br>line two<br><br>second para &amp; more <img alt="a mill">
<h3>Types</h3>
<ul><li>wind<ul><li>post mill</ul><li>water</ul>
<pre>
x  = 1
  y
</pre>
<div hidden>secret</div><div style="display: none">secret</div><p aria-hidden=true>secret
<blockquote>To be.</blockquote><dl><dt>term<dd>def</dl>
<footer>copyright</footer><script>alert(1)</script>
"""


def read(tmp_path: Path, data: str | bytes, **limits: int) -> Content:
    path = tmp_path / "file"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return decode_html(path, "text/html", DecodeOptions(limits=Limits(**limits)))[0]


def texts(content: Content) -> list[str]:
    return [block.text for block in content.blocks]


def test_main_content_in_order(tmp_path: Path) -> None:
    content = read(tmp_path, PAGE)
    assert [(block.kind, block.level, block.text) for block in content.blocks] == [
        ("heading", 1, "Grain mills"),
        ("paragraph", 0, "First paragraph line two"),
        ("paragraph", 0, "second para & more a mill"),
        ("heading", 3, "Types"),
        ("list_item", 0, "wind"),
        ("list_item", 0, "post mill"),
        ("list_item", 0, "water"),
        ("code", 0, "x  = 1\n  y"),
        ("quote", 0, "To be."),
        ("list_item", 0, "term"),
        ("list_item", 0, "def"),
    ]
    assert content.title == "Grain mills"  # the only h1; the title adds the site


def test_offsets_are_the_lines_that_blocks_begin_on(tmp_path: Path) -> None:
    content = read(tmp_path, PAGE)
    starts = {block.text: block.char_start for block in content.blocks}
    assert starts["Types"] == PAGE.index("<h3>")
    assert starts["post mill"] == PAGE.index("<ul><li>wind")


def test_the_main_element_wins_if_it_has_the_text(tmp_path: Path) -> None:
    around = "<div>Related things you may like</div>"
    long = "A sentence of the article. " * 20
    assert texts(read(tmp_path, f"{around}<main><p>{long}</main>")) == [long.strip()]
    assert texts(read(tmp_path, f"<p>{long}<main>short</main>")) == [long.strip(), "short"]


def test_a_page_of_nothing_but_navigation_is_kept(tmp_path: Path) -> None:
    assert texts(read(tmp_path, "<html><nav><a href=x>Only link</a></nav>")) == ["Only link"]


def test_tables_with_spans_and_header_rows(tmp_path: Path) -> None:
    content = read(
        tmp_path,
        "<table><caption>Yields</caption><thead><tr><th rowspan=2>Mill<th colspan=2>Yield"
        "<tr><th>2019<th>2020</thead><tr><td>A<td>1<td>2<tr><td rowspan=2>B<td><td>4<tr><td>5<td>6<br>7</table>",
    )
    (table,) = content.tables
    assert table.caption == "Yields"
    assert table.header == ("Mill", "Yield 2019", "Yield 2020")
    assert table.rows == (("A", "1", "2"), ("B", "", "4"), ("B", "5", "6 7"))
    assert content.blocks == ()


def test_tables_of_names_and_values_and_without_header_cells(tmp_path: Path) -> None:
    pairs = "<table><tr><th>Born<td>1809<tr><th>Died<td>1865</table>"
    plain = "<table><tr><td>Name<td>Age<tr><td>Bob<td>5<tr><td>Bob<td>5</table>"
    numbers = "<table><tr><td>1<td>2<tr><td>3<td>4</table>"
    first, second, third = read(tmp_path, pairs + plain + numbers).tables
    assert (first.header, first.rows[0]) == (("name", "value"), ("Born", "1809"))
    assert (second.header, len(second.rows)) == (("Name", "Age"), 2)
    assert (third.header, len(third.rows)) == (("column 1", "column 2"), 2)


def test_layout_tables_are_text(tmp_path: Path) -> None:
    content = read(
        tmp_path,
        "<table><tr><td>left <table><tr><th>k<td>v<tr><th>l<td>w</table><td>right</table>"
        "<table role=presentation><tr><td>a<td>b<tr><td>c<td>d</table>",
    )
    assert texts(content) == ["left", "right", "a", "b", "c", "d"]
    assert [table.rows for table in content.tables] == [(("k", "v"), ("l", "w"))]


def test_span_and_row_bombs(tmp_path: Path) -> None:
    row = "<tr><th>x<td colspan=99999999 rowspan=65000>a</tr>"
    (table,) = read(tmp_path, f"<table>{row}{row}</table>").tables
    assert len(table.header) <= 2001
    with pytest.raises(LimitError, match="rows = 3"):
        read(tmp_path, f"<table>{'<tr><td>1<td>2' * 5}</table>", rows=3)


def test_nesting_up_to_the_limit_is_read(tmp_path: Path) -> None:
    # The body is the first level.
    assert texts(read(tmp_path, "<html><body>" + "<div>" * 1999 + "deep")) == ["deep"]
    with pytest.raises(LimitError, match="nesting = 2000"):
        read(tmp_path, "<html><body>" + "<div>" * 2000 + "deep")
    with pytest.raises(LimitError, match="nesting"):
        read(tmp_path, "<html>" + "<div>a" * 5000)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<meta charset=koi8-r><p>Привет".encode("koi8_r"), "Привет"),
        ("<meta charset='iso-8859-1'><p>“Größe”".encode("cp1252"), "“Größe”"),
        ("<meta charset='iso-8859-1'><p>Größe".encode(), "Größe"),
        ("<meta charset=nonsense><p>Größe über".encode("cp1252"), "Größe über"),
        ("<meta charset=unicode_escape><p>Größe über".encode("cp1252"), "Größe über"),
        ("<?xml version='1.0' encoding='utf-16'?><html><p>Größe".encode(), "Größe"),
        (b"<p>&#xD800;a&nosuch;&#0;b\0c", None),
    ],
)
def test_encodings_and_odd_references(tmp_path: Path, data: bytes, expected: str | None) -> None:
    (text,) = texts(read(tmp_path, data))
    assert text.encode()
    assert expected is None or text == expected


@pytest.mark.parametrize("data", ["<html><!-- nothing -->", "<html><body><script>x</script>"])
def test_pages_without_text_are_refused(tmp_path: Path, data: str) -> None:
    path = tmp_path / "page"
    path.write_text(data)
    with pytest.raises(NoContentError):
        decode(path, "html", DecodeOptions())


LINKS = "<a href=x>One thing</a> <a href=y>Another thing</a>"


@pytest.mark.parametrize(
    "around",
    [
        f"<table class='header'><tr><td>[{LINKS}]<td>[{LINKS}]</table>",  # texinfo
        f"<div class='toc'><p><b>Contents</b></p><dl><dt>{LINKS}</dl></div>",  # DocBook
        f"<ul id='nav-main'><li>{LINKS}</ul>",
        f"<header><p>{LINKS}</header>",
    ],
)
def test_bars_and_lists_of_links_around_the_content_are_left_out(
    tmp_path: Path, around: str
) -> None:
    assert texts(read(tmp_path, f"<html><body>{around}<p>The mill grinds.")) == ["The mill grinds."]


def test_content_is_kept_whatever_it_is_called(tmp_path: Path) -> None:
    page = (
        "<header><h1><a href=x>The mill</a></h1></header><div class='contents'>Words of the content.</div>"
        f"<p class='menu'>We eat <a href=x>bread</a> and cheese.</p><ul><li>{LINKS}</ul>"
    )
    assert texts(read(tmp_path, page)) == [
        "The mill",
        "Words of the content.",
        "We eat bread and cheese.",
        "One thing Another thing",
    ]


def test_signs_that_link_a_heading_to_itself_are_left_out(tmp_path: Path) -> None:
    page = (
        "<h1>Mills<a class=headerlink href=#m>\u00b6</a> of old<a href=#m>#</a></h1>"
        "<p>See <a href=x>#</a>1 and a <span hidden>x</span>b."
    )
    assert texts(read(tmp_path, page)) == ["Mills of old", "See #1 and a b."]


def test_the_element_with_the_usual_name_of_content_wins(tmp_path: Path) -> None:
    long = "A sentence of the article. " * 20
    assert texts(read(tmp_path, f"<div>Things</div><div id=content><p>{long}</div>")) == [
        long.strip()
    ]


def test_elements_of_xhtml_that_close_themselves_are_empty(tmp_path: Path) -> None:
    page = (
        "<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><head><title/>"
        "<script src='x'/></head><body>"
    )
    assert texts(
        read(tmp_path, f"{page}<a id='b'/><p>One<i/> two</p><iframe/><div/>three</body></html>")
    ) == [
        "One two",
        "three",
    ]
