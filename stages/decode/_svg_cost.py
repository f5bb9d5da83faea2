"""What drawing an SVG would cost, told from its text, so that one that never ends is not begun.

A drawing of a few lines can ask for any amount of work: `use` repeats what `use` repeats, a pattern is filled with
patterns, a marker stands at every point of a path, translucent groups lie in translucent groups, each a picture of its
own. The renderer has limits of its own for some of that (1,000,000 nodes, 1,024 levels), and none for time and memory.
So everything is counted as often as it would be drawn, from above: what is drawn, which of it is a layer, and how many
layers lie inside of each other. The picture is then made as large as that allows, or refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from schemas.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

# Measured on one busy core (resvg 0.48), nanoseconds a pixel: solid fill 1, translucent fill 40, gradient 70 to 120,
# layer 80, clip, mask or blend 130 to 160, picture 540. Nothing here tells how much of the canvas a shape covers, so
# each is taken to cover it all: what these allow ends within the default deadline even then.
_FILLED_PIXELS: Final = 8_000_000_000
_LAYER_PIXELS: Final = 2_000_000_000
_LAYERS_A_PICTURE: Final = 4
_LEAST_PIXELS: Final = 128 * 128  # less shows nothing
# A layer may reach two canvases beyond each border (resvg, `max_bbox`): 25 canvases of 4 bytes.
_LAYER_BYTES_PER_PIXEL: Final = 100
_STEPS: Final = 3_000_000  # elements looked at, repeats of subtrees not counted
_HOPS: Final = 100  # references that lead to references
_RULES_MATCHED: Final = 100_000_000  # each rule of a style sheet is tried on each element
_CHARS_PER_SHAPE: Final = 200  # of a path or a text: so much is as much work as one more shape
_PIXELS_PER_SHAPE: Final = 500  # of a picture inside
_CHARS_PER_VERTEX: Final = 2  # "h1"

_GRADIENTS: Final = ("linearGradient", "radialGradient")
# Drawn only where something refers to them.
_ASIDE: Final = (
    "defs", "symbol", "pattern", "mask", "clipPath", "filter", "marker", "style", "metadata", "title", "desc",
    *_GRADIENTS,
)  # fmt: skip
_REPEATS: Final = ("use", "pattern")  # draw what their href names
_LAYERS: Final = ("opacity", "mask", "clip-path", "mix-blend-mode", "isolation")
_PLAIN: Final = ("", "1", "1.0", "none", "normal", "auto")
_INHERITED: Final = ("fill", "stroke", "marker", "marker-start", "marker-mid", "marker-end")
_GROUPS: Final = ("svg", "g", "a", "switch", *_ASIDE)
_REFERENCE: Final = re.compile(r"url\(\s*['\"]?\s*#([^)'\"\s]+)")
_DECLARATION: Final = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_RULE: Final = re.compile(r"([^{}]+)\{([^{}]*)\}")
_CLASS: Final = re.compile(r"\.([\w-]+)")

Property = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """How often something is done.

    Attributes:
        drawn: Shapes, and what is as much work as a shape.
        layers: Pictures made on the way: of translucent groups, masks, filters, patterns, gradients.
        nested: Most of them that are held at once.
    """

    drawn: int = 1
    layers: int = 0
    nested: int = 0

    def canvas_pixels(self, most: int, memory_bytes: int) -> int:
        """The size at which it can be drawn.

        Args:
            most: Pixels wanted.
            memory_bytes: For its layers.

        Raises:
            LimitError: Not even a small picture of it can be made.
        """
        area = min(
            most,
            _FILLED_PIXELS // self.drawn,
            _LAYER_PIXELS // max(1, self.layers),
            memory_bytes // (_LAYER_BYTES_PER_PIXEL * max(1, self.nested)),
        )
        if area < min(most, _LEAST_PIXELS):
            raise LimitError(
                f"its drawing repeats itself too often: {self.drawn} shapes, {self.layers} layers of which"
                f" {self.nested} lie inside each other"
            )
        return area


def cost_of(root: etree._Element) -> Cost:
    """Count a drawing.

    Args:
        root: Its `svg` element; each `image` has its pixels in the attribute `data-pixels`.

    Raises:
        LimitError: It is too tangled to be counted.
    """
    counter = _Counter(_Sheet.of(root), _targets(root))
    cost = counter.count(root, 0)
    if cost.drawn * counter.sheet.rules > _RULES_MATCHED:
        raise LimitError(
            f"its style sheet of {counter.sheet.rules} rules is too long for {cost.drawn} shapes"
        )
    return cost


def local_name(element: etree._Element) -> str:
    """The tag without its namespace; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _targets(root: etree._Element) -> dict[str, etree._Element]:
    found: dict[str, etree._Element] = {}
    for element in root.iter():
        name = element.get("id") if local_name(element) else None
        if name:
            found.setdefault(name, element)
    return found


@dataclass(slots=True)
class _Sheet:
    """Declarations of style sheets that matter here: by class, and those that may apply to anything."""

    rules: int = 0
    by_class: dict[str, list[Property]] = field(default_factory=dict)
    for_all: list[Property] = field(default_factory=list)

    @classmethod
    def of(cls, root: etree._Element) -> _Sheet:
        sheet = cls()
        for element in root.iter():
            if local_name(element) == "style":
                for selector, body in _RULE.findall("".join(element.itertext())):
                    sheet.rules += 1
                    sheet._add(selector, [p for p in _declared(body) if _matters(p)])
        return sheet

    def _add(self, selector: str, declarations: list[Property]) -> None:
        for part in selector.split(","):
            names = _CLASS.findall(part)
            if names:
                self.by_class.setdefault(names[-1], []).extend(declarations)
            else:
                self.for_all.extend(declarations)


def _declared(text: str) -> list[Property]:
    return [(name.lower(), value.strip()) for name, value in _DECLARATION.findall(text)]


def _matters(declared: Property) -> bool:
    name, value = declared
    return "url(" in value or (name in _LAYERS and value not in _PLAIN)


@dataclass(slots=True)
class _Counter:
    sheet: _Sheet
    targets: dict[str, etree._Element]
    known: dict[str, Cost] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    steps: int = 0

    def count(self, top: etree._Element, hops: int) -> Cost:
        """All of a subtree that is drawn, with what it refers to."""
        drawn, layers, nested = 0, 0, 0
        stack: list[tuple[etree._Element, int, tuple[Property, ...]]] = [(top, 0, ())]
        while stack:
            element, level, inherited = stack.pop()
            name = local_name(element)
            if not name or (name in _ASIDE and element is not top):
                continue
            self.steps += 1
            if self.steps > _STEPS:
                raise LimitError(f"its drawing has more than {_STEPS} elements to look at")
            own = self._properties(element)
            passed = inherited
            if own:
                passed += tuple(p for p in own if p[0] in _INHERITED)
            applied = own if name in _GROUPS else [*inherited, *own]
            made = self._element(element, name, applied, hops)
            drawn += made.drawn
            layers += made.layers
            level += any(n in _LAYERS for n, _ in own)
            nested = max(nested, level + made.nested)
            stack += [(child, level, passed) for child in element]
        return Cost(max(1, drawn), layers, nested)

    def _element(
        self, element: etree._Element, name: str, applied: Sequence[Property], hops: int
    ) -> Cost:
        """One element without its children."""
        drawn, layers, nested = _weight(element), 0, 0
        times = 1
        if name in _REPEATS:
            repeated = self._target(_href(element), hops)
            drawn, layers, nested = (
                drawn + repeated.drawn,
                layers + repeated.layers,
                repeated.nested,
            )
            times = repeated.drawn  # what it hands down may apply to each of them
        if name == "image":
            layers += _LAYERS_A_PICTURE
        for prop, value in applied:
            layers += prop in _LAYERS
            points = len(element.get("d") or element.get("points") or "")
            often = times * (1 + points // _CHARS_PER_VERTEX if prop.startswith("marker") else 1)
            for target in _REFERENCE.findall(value):
                layers += often
                cost = self._target(target, hops)
                drawn += often * cost.drawn
                layers += often * cost.layers
                nested = max(nested, 1 + cost.nested)
        return Cost(drawn, layers, nested)

    def _target(self, name: str, hops: int) -> Cost:
        element = self.targets.get(name)
        # A circle of references is cut by the renderer too.
        if element is None or local_name(element) in _GRADIENTS or name in self.asked:
            return Cost()
        if name not in self.known:
            if hops >= _HOPS:
                raise LimitError(f"its references lead on to others more than {_HOPS} times")
            self.asked.add(name)
            self.known[name] = self.count(element, hops + 1)
            self.asked.discard(name)
        return self.known[name]

    def _properties(self, element: etree._Element) -> list[Property]:
        """What is declared on an element and matters here."""
        own = list(self.sheet.for_all)
        for name, value in element.attrib.items():
            if name == "style":
                own += [p for p in _declared(value) if _matters(p)]
            elif name == "class":
                for of_class in value.split():
                    own += self.sheet.by_class.get(of_class, ())
            elif "url(" in value or name in _LAYERS:
                own += [p for p in [(name, value.strip())] if _matters(p)]
        return own


def _weight(element: etree._Element) -> int:
    chars = sum(len(value) for name, value in element.attrib.items() if not _is_href(str(name)))
    chars += len(element.text or "") + len(element.tail or "")
    pixels = int(element.get("data-pixels") or 0)
    return 1 + chars // _CHARS_PER_SHAPE + pixels // _PIXELS_PER_SHAPE


def _href(element: etree._Element) -> str:
    values = [str(value) for name, value in element.attrib.items() if _is_href(str(name))]
    return next((value[1:] for value in values if value.startswith("#")), "")


def _is_href(name: str) -> bool:
    return name == "href" or name.endswith("}href")
