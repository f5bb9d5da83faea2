import pytest

from schemas.config import Derivation
from schemas.derived import Subject
from schemas.partition import AUDIO_SEGMENT, TEXT_PARAGRAPH
from schemas.unit import Locator, Unit
from stages.derive.registry import contract, make_generator


def asked(text: str, context: str = "", language: str = "en") -> tuple[str, ...]:
    generator = make_generator(contract("questions", Derivation(adapter="ask")))
    unit = Unit("s", TEXT_PARAGRAPH, Locator(), text=text, context=context, language=language)
    return generator.derive([Subject(unit)])[0]


@pytest.mark.parametrize(
    ("text", "context", "questions"),
    [
        ("Write to the office.", "Help > How do I renew it?", ("How do I renew it?",)),
        ("Loosen the screws.", "Manual > 4.2 How to lift the stone", ("How do I lift the stone?",)),
        ("Loosen.", "Manual > Lifting the stone", ("How does lifting the stone work?",)),
        ("Q: Where is the mill? It is by the river.", "", ("Where is the mill?",)),
        ("The overshot wheel is a wheel that ...", "", ("What is the overshot wheel?",)),
        ("This is a test of it.", "", ()),
        ("He said: is it so? Nobody knew.", "", ()),
        ("Flour: 3 sacks.", "Prices", ()),
    ],
)
def test_only_what_is_plainly_answered_is_asked(text, context, questions):
    assert asked(text, context) == questions


def test_other_languages_are_left_alone():
    assert asked("Was ist das?", "Hilfe > Was ist das hier?", language="de") == ()


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("Dog 0.91; Animal 0.90; Bark 0.80", ("The sound of dog and bark.",)),
        ("Dog 0.91; Rain 0.30", ("The sound of dog.",)),
        ("Domestic animals, pets 0.95; Cat 0.50", ("The sound of cat.",)),
        ("Animal 0.90", ()),
        ("", ()),
    ],
)
def test_sounds_are_told_by_their_surest_names(tags, said):
    generator = make_generator(contract("told", Derivation(adapter="tell")))
    unit = Unit("s", AUDIO_SEGMENT, Locator(), text="x", attributes={"tags": tags})
    assert generator.derive([Subject(unit)]) == [said]
