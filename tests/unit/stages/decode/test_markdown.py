from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from schemas.config import Limits
from schemas.errors import LimitError
from stages.decode.markdown import decode_markdown
from stages.decode.options import DecodeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

PAGE = """---
title: "The mill"
tags: [a]
---
# Guide to *things*

Some [link](http://x.y) and ![a picture](p.png).
Second<br>line.

Setext
------

- one
  - nested `code`

> quoted

```sh
ls  -l
```

| A | B |
|---|---|
| 1 |   |

<p>Hello <b>world</b></p>
<script>alert(1)</script>
"""


def read(tmp_path: Path, text: str, **limits: int) -> Content:
    path = tmp_path / "file"
    path.write_text(text)
    return decode_markdown(path, "text/markdown", DecodeOptions(limits=Limits(**limits)))[0]


def test_blocks(tmp_path: Path) -> None:
    content = read(tmp_path, PAGE)
    assert [(block.kind, block.level, block.text) for block in content.blocks] == [
        ("heading", 1, "Guide to things"),
        ("paragraph", 0, "Some link and a picture. Second line."),
        ("heading", 2, "Setext"),
        ("list_item", 0, "one"),
        ("list_item", 0, "nested code"),
        ("quote", 0, "quoted"),
        ("code", 0, "ls  -l"),
        ("paragraph", 0, "Hello world"),
    ]
    assert content.title == "The mill"


def test_offsets_are_those_of_the_lines(tmp_path: Path) -> None:
    content = read(tmp_path, PAGE)
    spans = {block.text: PAGE[block.char_start : block.char_end] for block in content.blocks}
    assert spans["Guide to things"] == "# Guide to *things*"
    assert spans["Setext"] == "Setext"
    assert spans["quoted"] == "> quoted"


def test_tables_keep_empty_cells(tmp_path: Path) -> None:
    (table,) = read(tmp_path, PAGE).tables
    assert table.header == ("A", "B")
    assert table.rows == (("1", ""),)


def test_title_is_the_first_top_heading_without_front_matter(tmp_path: Path) -> None:
    content = read(tmp_path, "## Small\n\n# Big\n\n---\n\ntext")
    assert content.title == "Big"
    assert [block.text for block in content.blocks] == ["Small", "Big", "text"]


def test_a_table_above_the_row_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="rows = 1"):
        read(tmp_path, "|a|b|\n|-|-|\n|1|2|\n|3|4|\n", rows=1)


@pytest.mark.parametrize(("mark", "deepest"), [("> ", 200), ("- ", 100)])
def test_nesting_up_to_the_limit_is_read(tmp_path: Path, mark: str, deepest: int) -> None:
    assert [block.text for block in read(tmp_path, mark * deepest + "deep\n").blocks] == ["deep"]
    with pytest.raises(LimitError, match="nesting = 200"):
        read(tmp_path, mark * (deepest + 1) + "deep\n")
