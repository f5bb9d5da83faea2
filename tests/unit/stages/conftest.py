"""Fixtures of tests of stages."""

from collections.abc import Iterator

import pymupdf
import pytest


@pytest.fixture
def document() -> Iterator[pymupdf.Document]:
    """A PDF without pages."""
    with pymupdf.open() as made:
        yield made
