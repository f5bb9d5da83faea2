"""Questions by rules: those that a heading or a passage asks itself, and those that it plainly answers.

English only. What a table says of a thing makes no question that anybody would ask ("What is the Built of North
mill?"), so tables are left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.derived import GeneratorContract
from stages.derive.cleaning import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schemas.config import Derivation
    from schemas.derived import Subject
    from schemas.unit import Unit

_RULES: Final = 1  # raised with every change of what is asked
_PARTITIONS: Final = ("text/paragraph",)
_TEXTS: Final = 2
_WORDS: Final = range(3, 21)  # of a question that says what it is about
_ASKS: Final = "Wh(?:at|en|ere|ich|o|y)|How|Can|Could|Do|Does|Did|Is|Are|May|Must|Should|Will"
_QUESTION: Final = re.compile(rf"(?:Q[:.)]\s*)?((?:{_ASKS})\b[^.!?\n]{{8,160}}\?)")
_HOW_TO: Final = re.compile(r"^how to (?=[a-z])", re.I)
_DOING: Final = re.compile(r"^[A-Z][a-z]{2,}ing (?!is\b|are\b|of\b)[a-z]")
_NUMBER: Final = re.compile(r"^(?:[0-9]+|[IVX]+|[A-Z])(?:\.[0-9]+)*[.)]?\s+")
_DEFINITION: Final = re.compile(
    r"((?:(?:The|An?) )?)([A-Za-z][\w-]*(?: [\w-]+){0,3}) (is|are) (?:an?|the|one of)\s"
)
_NOT_NAMED: Final = frozenset(
    {"this", "that", "these", "those", "it", "there", "here", "he", "she", "they", "we", "you"}
    | {"i", "what", "which", "who", "such", "one", "all", "each", "every", "following", "most"}
    | {"some", "many", "its", "his", "her", "their", "our", "my"}
)


def contract(name: str, settings: Derivation, _frame_size: int) -> GeneratorContract:
    """The contract of a configured one; loads nothing."""
    return GeneratorContract(
        name=name,
        adapter="ask",
        kind="question",
        partitions=tuple(sorted(settings.partitions or _PARTITIONS)),
        reads="text",
        revision=f"rules {_RULES}",
        texts=_TEXTS,
    )


class Asker:
    """Finds the questions in texts."""

    def __init__(self, contract: GeneratorContract) -> None:
        self.contract = contract

    def load(self) -> None:
        """Nothing: rules."""

    def derive(self, subjects: Sequence[Subject]) -> list[tuple[str, ...]]:
        """At most two questions for each text."""
        return [_questions(subject.unit) for subject in subjects]


def _questions(unit: Unit) -> tuple[str, ...]:
    if unit.language not in ("", "en"):
        return ()
    found = [*_of_heading(unit.context.rpartition(" > ")[2]), *_of_text(unit.text)]
    kept = [question for question in map(clean, found) if len(question.split()) in _WORDS]
    return tuple(dict.fromkeys(kept))[:_TEXTS]


def _of_heading(heading: str) -> Iterator[str]:
    heading = _NUMBER.sub("", heading.strip())
    if heading.endswith("?"):
        yield heading
    elif _HOW_TO.match(heading):
        yield f"How do I {_HOW_TO.sub('', heading)}?"
    elif _DOING.match(heading):
        yield f"How does {heading[0].lower()}{heading[1:]} work?"


def _of_text(text: str) -> Iterator[str]:
    if question := _QUESTION.match(text):
        yield question[1]
    if defined := _DEFINITION.match(text):
        article, name, verb = defined.groups()
        if name.split(" ")[0].lower() not in _NOT_NAMED:
            yield f"What {verb} {article.lower()}{name}?"
