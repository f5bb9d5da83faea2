"""Drawings in SVG, made here as text."""

from __future__ import annotations

import base64
import io
import time

import pytest
from PIL import Image

from schemas.config import Recognition
from schemas.errors import CorruptError, LimitError, SourceError, UnsupportedError
from stages.decode._fence import fenced
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode as decode_any
from tests.unit.stages.decode.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    at,
    decode,
    halves,
    middle,
    shown,
)

NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
SQUARE = 'width="100" height="100" viewBox="0 0 100 100"'


def write(path, body, head=SQUARE, prolog=""):
    path.write_text(f"{prolog}<svg {NS} {head}>{body}</svg>")
    return path


def data_uri(image, kind="png"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_shapes_text_and_gradient(tmp_path):
    body = (
        '<title>The mill</title><defs><linearGradient id="g"><stop offset="0" stop-color="#f00"/>'
        '<stop offset="1" stop-color="#00f"/></linearGradient><text>hidden</text></defs>'
        '<rect width="200" height="100" fill="url(#g)"/>'
        '<text x="10" y="50" font-size="30">Grain <tspan>to bread</tspan></text>'
        '<text x="10" y="90">second   line</text><text display="none">unseen</text>'
    )
    content, arrays = decoded = decode(write(tmp_path / "a.svg", body, 'width="200" height="100"'))
    assert content.media_type == "image/svg+xml"
    assert content.title == "The mill"
    assert content.image.text == "Grain to bread\nsecond line"
    assert content.image.ocr_array is None
    assert (content.image.width, content.image.height) == (200, 100)
    assert content.notes == ()
    assert content.image.phash
    picture = shown(decoded)
    assert picture.shape == (224, 224, 3)
    assert picture[20, 10, 0] > picture[20, 10, 2]
    assert picture[20, 213, 2] > picture[20, 213, 0]
    assert (picture < 60).all(axis=2).any()  # letters are drawn
    assert len(arrays) == 1


def test_what_has_no_text_is_prepared_to_be_read(tmp_path):
    path = write(tmp_path / "a.svg", '<rect width="50" height="100" fill="red"/>')
    content, arrays = decode(path)
    assert arrays[content.image.ocr_array].shape == (1600, 1600, 3)
    options = DecodeOptions(recognition=Recognition(ocr=False))
    assert decode_any(path, "", options)[0].image.ocr_array is None


def test_it_lies_on_white(tmp_path):
    decoded = decode(write(tmp_path / "a.svg", '<rect x="40" y="40" width="20" height="20"/>'))
    assert at(shown(decoded), 0, 0) == WHITE
    assert middle(decoded) == (0, 0, 0)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ('width="200" height="100"', (200, 100)),
        ('width="2in" height="96pt"', (192, 128)),
        ('viewBox="0 0 30 60"', (30, 60)),
        ('width="60" viewBox="0 0 30 10"', (60, 20)),
        ('height="20mm" viewBox="0 0 10 10"', (76, 76)),
        ('width="100%" height="100%" viewBox="0,0,40,20"', (40, 20)),
        ('width="1e9" height="1e9"', (1000, 1000)),
    ],
)
def test_sizes(head, size, tmp_path):
    decoded = decode(
        write(tmp_path / "a.svg", '<rect width="100%" height="100%" fill="red"/>', head)
    )
    assert (decoded[0].image.width, decoded[0].image.height) == size
    assert middle(decoded) == RED


@pytest.mark.parametrize(
    "head",
    [
        "",
        'width="0" height="0"',
        'width="1e-9" height="1e9"',
        'viewBox="0 0 1e30 1"',
        'viewBox="a b c d"',
    ],
)
def test_senseless_sizes_end(head, tmp_path):
    path = write(tmp_path / "a.svg", '<rect width="10" height="20" fill="red"/>', head)
    try:
        content, _ = decode(path)
    except SourceError as error:
        assert str(path) in error.message  # noqa: PT017  # either is an end
    else:
        assert 1 <= content.image.width <= 100_000


def test_encodings_and_doctypes_of_drawing_programs(tmp_path):
    doctype = (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"'
        ' "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [<!ENTITY ns_svg "http://www.w3.org/2000/svg">]>'
    )
    text = f'{doctype}<svg xmlns="&ns_svg;" {SQUARE}><rect width="100" height="100" fill="blue"/></svg>'
    path = tmp_path / "a.svg"
    path.write_bytes(text.encode("utf-16"))
    assert middle(decode(path)) == BLUE


def test_a_picture_inside_is_drawn(tmp_path):
    inside = data_uri(halves(RED, BLUE, (100, 100)))
    decoded = decode(
        write(tmp_path / "a.svg", f'<image width="100" height="100" xlink:href="{inside}"/>')
    )
    assert at(shown(decoded), 112, 20) == RED
    assert decoded[0].notes == ()


def test_pictures_outside_are_left_out(tmp_path):
    outside = tmp_path / "secret.png"
    Image.new("RGB", (100, 100), RED).save(outside)
    hrefs = [
        str(outside),
        outside.as_uri(),
        "secret.png",
        "http://localhost/a.png",
        "data:x/../secret.png",
    ]
    body = "".join(f'<image width="100" height="100" href="{href}"/>' for href in hrefs)
    body += f'<filter id="f"><feImage href="{outside}"/></filter>'
    body += '<rect width="100" height="100" fill="green"/><rect width="50" height="100" filter="url(#f)"/>'
    decoded = decode(write(tmp_path / "a.svg", body))
    assert not (shown(decoded) == RED).all(axis=2).any()
    assert at(shown(decoded), 112, 200) == GREEN
    assert decoded[0].notes[0].startswith("5 pictures that are not inside the file")
    nested = base64.b64encode(f'<svg {NS}><image href="{outside}"/></svg>'.encode()).decode()
    path = write(tmp_path / "b.svg", f'<image href="data:image/svg+xml;base64,{nested}"/>')
    assert middle(decode(path)) == WHITE


def test_scripts_styles_and_foreign_parts_do_nothing(tmp_path):
    body = (
        '<script>document.documentElement.remove()</script><style>@import url("http://localhost/a.css");</style>'
        '<foreignObject width="9" height="9"><p xmlns="http://www.w3.org/1999/xhtml">html</p></foreignObject>'
        '<rect width="100" height="100" fill="green" onclick="alert(1)"/>'
    )
    assert middle(decode(write(tmp_path / "a.svg", body))) == GREEN


def test_external_entities_are_not_read(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    prolog = f'<!DOCTYPE svg [<!ENTITY a SYSTEM "{secret.as_uri()}"><!ENTITY b "mill">]>'
    path = write(tmp_path / "a.svg", "<text>&a; wheel &b;</text>", prolog=prolog)
    content, _ = decode(path)
    assert content.image.text == "wheel"


def test_an_entity_bomb_is_refused(tmp_path):
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    prolog = f'<!DOCTYPE svg [<!ENTITY l0 "ha">{laughs}]>'
    started_s = time.monotonic()
    with pytest.raises(CorruptError, match=r"a\.svg"):
        decode(write(tmp_path / "a.svg", '<rect id="&l11;"/>', prolog=prolog))
    with pytest.raises(CorruptError, match="entity amplification"):
        decode(write(tmp_path / "b.svg", "<text>&l11;x</text>", prolog=prolog))
    assert time.monotonic() - started_s < 5


def nested_use(levels, times=10):
    groups = ['<g id="g0"><rect width="9" height="9"/></g>']
    groups += [
        f'<g id="g{i}">{f"""<use href="#g{i - 1}"/>""" * times}</g>' for i in range(1, levels)
    ]
    return f'<defs>{"".join(groups)}</defs><use href="#g{levels - 1}"/>'


def nested_patterns(levels):
    parts = [
        f'<pattern id="p{i}" width="10" height="10" patternUnits="userSpaceOnUse">'
        f'{f"""<rect width="10" height="10" fill="url(#p{i - 1})"/>""" * 10}</pattern>'
        for i in range(1, levels)
    ]
    first = '<pattern id="p0" width="1" height="1"><rect width="9" height="9"/></pattern>'
    return first + "".join(parts) + f'<rect width="100" height="100" fill="url(#p{levels - 1})"/>'


def styled_masks(levels):
    rules = "".join(f".c{i}{{mask:url(#m{i - 1})}}" for i in range(1, levels))
    masks = "".join(
        f'<mask id="m{i}">{f"""<rect class="c{i}" width="99" height="99"/>""" * 10}</mask>'
        for i in range(levels)
    )
    return f'<style>{rules}</style>{masks}<rect width="99" height="99" mask="url(#m{levels - 1})"/>'


BOMBS = {
    "use in use": nested_use(12),
    "patterns in patterns": nested_patterns(12),
    "masks by style": styled_masks(12),
    "markers": (
        f'<marker id="m">{"<rect/>" * 5000}</marker>'
        f'<g style="marker-mid:url(#m)"><path d="M0 0{"h1v1" * 5000}"/></g>'
    ),
    "layers in layers": '<g opacity=".9">' * 200 + "<rect/>" + "</g>" * 200,
    "filled without end": '<defs><g id="g">'
    + '<rect width="1e9" height="1e9" fill="#abcd"/>' * 5000
    + "</g></defs>"
    + '<use href="#g"/>' * 200,
    "rules on elements": "<style>" + ".a b{fill:red}" * 20_000 + "</style>" + "<rect/>" * 20_000,
    "one reference after the other": "".join(
        f'<g id="h{i}"><use href="#h{i + 1}"/></g>' for i in range(5000)
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_soon(name, tmp_path):
    path = write(tmp_path / "a.svg", BOMBS[name])
    started_s = time.monotonic()
    try:
        content, _ = decode(path)
    except LimitError as error:
        assert str(path) in error.message  # noqa: PT017  # either is an end
    else:
        assert name == "layers in layers", name  # drawn smaller, as its layers fit
        assert content.image.width == 100
    assert time.monotonic() - started_s < 20


FILTERS = {
    "turbulence": '<feTurbulence baseFrequency="9" numOctaves="2000000000"/>',
    "morphology": '<feMorphology operator="dilate" radius="9999"/>',
    "matrix": f'<feConvolveMatrix order="99" kernelMatrix="{"1 " * 9801}"/>',
    "blur": '<feGaussianBlur stdDeviation="999999"/>',
    "steps": '<feOffset dx="1"/>' * 20_000,
}


USED = [
    '<rect width="100" height="100" fill="green" filter="url(#f)"/>',
    '<rect width="100" height="100" style="fill:green;filter : url(#f)"/>',
    "<style>/* a */ rect { fill: green; filter/**/: url(#f) }</style>"
    '<rect width="100" height="100"/>',
    '<g filter="blur(9999)"><rect width="100" height="100" fill="green"/></g>',
]


@pytest.mark.parametrize(
    ("name", "used"), [*((name, USED[0]) for name in FILTERS), *(("blur", used) for used in USED)]
)
def test_filters_are_not_drawn(name, used, tmp_path):
    region = 'x="-99" y="-99" width="999" height="999"'
    body = f'<filter id="f" {region}>{FILTERS[name]}</filter>{used}'
    started_s = time.monotonic()
    content, _ = decoded = decode(write(tmp_path / "a.svg", body))
    assert middle(decoded) == GREEN
    assert content.notes == ("drawn without its filters (shadows, blur)",)
    assert time.monotonic() - started_s < 5


@pytest.mark.parametrize("units", ["userSpaceOnUse", "objectBoundingBox"])
def test_a_huge_tile_ends(units, tmp_path):
    body = (
        f'<pattern id="p" width="100000" height="100000" patternUnits="{units}"><rect width="9" height="9"/>'
        '</pattern><rect width="100" height="100" fill="url(#p)"/>'
    )
    assert decode(write(tmp_path / "a.svg", body))[0].image.width == 100


def test_a_huge_picture_inside_is_left_out(tmp_path):
    inside = data_uri(Image.new("1", (3000, 3000)))
    path = write(tmp_path / "a.svg", f'<rect width="9" height="9"/><image href="{inside}"/>')
    content, _ = decode(path, pixels=8_000_000)
    assert content.notes[0].startswith("1 pictures")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"<svg {NS}><rect></svg>", CorruptError),
        (f"<svg {NS}", CorruptError),
        ("<svg:g xmlns:svg='http://www.w3.org/2000/svg'/>", SourceError),
        (f"<svg {NS}>{'<g>' * 5000}{'</g>' * 5000}</svg>", CorruptError),
    ],
)
def test_broken_ones_are_named(text, error, tmp_path):
    path = tmp_path / "a.svg"
    path.write_text(text)
    with pytest.raises(error):
        decode(path)


def test_another_root_is_not_drawn(tmp_path):
    from stages.decode.svg import decode_svg

    path = tmp_path / "a.svg"
    path.write_text("<html><svg/></html>")
    with pytest.raises(UnsupportedError, match="html"):
        decode_svg(path, "image/svg+xml", DecodeOptions())


def test_inside_the_fence(tmp_path):
    path = write(
        tmp_path / "a.svg", '<text y="50" font-size="40">mill</text><rect width="9" height="9"/>'
    )
    decoded = fenced(path, lambda: decode(path))
    assert decoded[0].image.text == "mill"
    assert (shown(decoded) < 60).all(axis=2).any()


def test_same_bytes_same_picture(tmp_path):
    path = write(tmp_path / "a.svg", '<text y="50" font-size="40">mill</text>')
    first, second = decode(path), decode(path)
    assert first[0] == second[0]
    assert (shown(first) == shown(second)).all()
