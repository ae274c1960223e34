"""Word files made of any parts: packages of XML trees, sound or not."""

from __future__ import annotations

import random
import zipfile
from functools import cache
from io import BytesIO
from xml.etree import ElementTree

from hypothesis import strategies as st

from tests.fuzz.texts import DATA, damage, damaged

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPES = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_KINDS = ("styles", "footnotes", "endnotes", "numbering")
MAIN = "word/document.xml"


def package(parts: dict[str, bytes], deflate: bool = False) -> bytes:
    """Return the file with these parts, and with the plumbing that they need where it is not among them."""
    types = "".join(
        f'<Override PartName="/word/{kind}.xml" ContentType="{_TYPES}.{kind}+xml"/>'
        for kind in _KINDS
        if f"word/{kind}.xml" in parts
    )
    links = "".join(
        f'<Relationship Id="r{number}" Type="{_RELATIONS}/{kind}" Target="{kind}.xml"/>'
        for number, kind in enumerate(_KINDS)
        if f"word/{kind}.xml" in parts
    )
    plumbing = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="'
        f'application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/{MAIN}" '
        f'ContentType="{_TYPES}.document.main+xml"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{_RELATIONS}/officeDocument" Target="{MAIN}"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>',
    }
    whole = {name: text.encode() for name, text in plumbing.items()} | parts
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED) as archive:
        for name, data in whole.items():
            archive.writestr(zipfile.ZipInfo(name), data, archive.compression)
    return out.getvalue()


def part(kind: str, content: str, prolog: str = "") -> bytes:
    """Return a part whose outermost element is of this kind."""
    return f'{prolog}<w:{kind} xmlns:w="{W}">{content}</w:{kind}>'.encode("utf-8", "replace")


BODY = (
    '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>The tower</w:t></w:r></w:p>'
    '<w:p><w:r><w:t xml:space="preserve">The lamp </w:t></w:r><w:ins><w:r><w:t>burned</w:t><w:tab/></w:r></w:ins>'
    '<w:del><w:r><w:delText>never</w:delText></w:r></w:del><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>oil</w:t></w:r></w:p></w:tc><w:tc><w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr>"
    "</w:tbl><w:p/></w:tc></w:tr></w:tbl><w:sdt><w:sdtContent><w:p><w:pPr><w:numPr><w:ilvl w:val='1'/><w:numId "
    "w:val='3'/></w:numPr><w:outlineLvl w:val='0'/></w:pPr><w:r><w:pict><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r>"
    "</w:p></w:txbxContent></w:pict><w:br/><w:t>item</w:t></w:r></w:p></w:sdtContent></w:sdt><w:sectPr/>"
)
STYLES = (
    '<w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:basedOn w:val="Base"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Base"><w:name w:val="Base"/><w:basedOn w:val="Heading1"/>'
    "<w:pPr><w:outlineLvl w:val='1'/></w:pPr></w:style>"
)
NOTES = '<w:footnote w:id="2"><w:p><w:r><w:t>A note</w:t><w:footnoteReference w:id="2"/></w:r></w:p></w:footnote>'


@cache
def parts() -> dict[str, bytes]:
    return {
        MAIN: part("document", f"<w:body>{BODY}</w:body>"),
        "word/styles.xml": part("styles", STYLES),
        "word/footnotes.xml": part("footnotes", NOTES),
        "word/endnotes.xml": part("endnotes", NOTES.replace("footnote", "endnote")),
        "word/numbering.xml": part("numbering", '<w:num w:numId="3"><w:abstractNumId w:val="3"/></w:num>'),
    }


@cache
def seeds() -> tuple[bytes, ...]:
    return (package(parts()), package(parts(), deflate=True), (DATA / "lighthouse.docx").read_bytes())


TAGS = (
    *("body", "p", "r", "t", "tbl", "tr", "tc", "sdt", "sdtContent", "ins", "del", "moveTo", "moveFrom", "pPr", "rPr"),
    *("pStyle", "numPr", "ilvl", "numId", "outlineLvl", "tab", "br", "cr", "noBreakHyphen", "txbxContent", "pict"),
    *("drawing", "footnoteReference", "endnoteReference", "footnote", "endnote", "style", "name", "basedOn", "num"),
    *("abstractNum", "abstractNumId", "lvl", "hyperlink", "smartTag", "customXml", "sectPr", "instrText", "fldChar"),
)
_NUMBERS = ("", "0", "1", "-1", "2", "3", "9", "10", "99999999999999999999", "½", "٣", "x", "Heading1", "Base")
_attributes = st.dictionaries(
    st.sampled_from(("val", "id", "styleId", "type", "numId", "ilvl")), st.sampled_from(_NUMBERS), max_size=3
)
_plain = st.sampled_from(
    ("words", "", "&amp;", "&#10;", "<!-- c -->", "<?pi?>", "<w:p/>", "<w:r><w:t>words</w:t></w:r>")
)
_NOT_XML = ("&#xD800;", "&e;", "&#0;", "<w:p>", "]]>", "\x0b")


def _element(tag: str, attributes: dict[str, str], inner: list[str]) -> str:
    given = "".join(f' w:{name}="{value}"' for name, value in attributes.items())
    return f"<w:{tag}{given}>{''.join(inner)}</w:{tag}>"


trees = st.recursive(
    _plain | st.text(st.characters(exclude_characters="<&>", exclude_categories=("Cs", "Cc", "Cn")), max_size=8),
    lambda inner: st.builds(_element, st.sampled_from(TAGS), _attributes, st.lists(inner, max_size=4)),
    max_leaves=20,
)
_PROLOGS = (
    "",
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<?xml version="1.0" encoding="utf-16"?>',
    '<!DOCTYPE d [<!ENTITY e "lol">]>',
    '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
    '<!DOCTYPE d [<!ENTITY a "lololololol"><!ENTITY e "' + "&a;" * 500 + '">]>',
)


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """Parts of any trees, some as they should be, some damaged."""
    whole = dict(parts())
    for name in draw(st.sets(st.sampled_from(sorted(whole)), min_size=1)):
        kind = name.removeprefix("word/").removesuffix(".xml")
        content = "".join(draw(st.lists(trees, max_size=4)))
        if draw(st.sampled_from(range(10))) == 0:
            content += draw(st.sampled_from(_NOT_XML))
        if kind == "document" and draw(st.sampled_from(range(10))):
            content = f"<w:body>{content}</w:body>"
        prolog = "" if draw(st.sampled_from(range(6))) else draw(st.sampled_from(_PROLOGS))
        whole[name] = part(kind, content, prolog)
    if draw(st.sampled_from(range(6))) == 0:
        name = draw(st.sampled_from(sorted(whole)))
        whole[name] = draw(damaged((whole[name],)))
    if draw(st.sampled_from(range(6))) == 0:
        del whole[draw(st.sampled_from(sorted(whole)))]
    return package(whole, draw(st.booleans()))


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change the XML of one part and pack all again; what is no package any more becomes one again."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            whole = {entry.filename: archive.read(entry) for entry in archive.infolist() if entry.file_size < 2**18}
    except Exception:
        whole = dict(parts())
    if not whole:
        return package(parts())
    name = chance.choice(sorted(whole))
    whole[name] = _mutate_part(whole[name], chance)
    return package(whole)


def _mutate_part(data: bytes, chance: random.Random) -> bytes:
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        return damage(data, chance)
    for _ in range(chance.randint(1, 4)):
        _mutate_tree(list(root.iter()), chance)
    written = ElementTree.tostring(root)
    return damage(written, chance) if chance.random() < 0.1 else written


def _mutate_tree(elements: list[ElementTree.Element], chance: random.Random) -> None:
    one, other = chance.choice(elements), chance.choice(elements)
    kind = chance.randrange(6)
    if kind == 0:
        one.tag = f"{{{W}}}{chance.choice(TAGS)}"
    elif kind == 1:
        one.set(f"{{{W}}}{chance.choice(('val', 'id', 'styleId', 'numId'))}", chance.choice(_NUMBERS))
    elif kind == 2:
        one.text = chance.choice(("words", "", "\n", "\u202e", "9" * 50, None))
    elif kind == 3 and len(one):
        one.remove(chance.choice(list(one)))
    elif kind == 4 and one not in other.iter():  # a tree that holds itself could not be written
        one.insert(chance.randrange(len(one) + 1), other)
    else:
        one.append(ElementTree.Element(f"{{{W}}}{chance.choice(TAGS)}"))


def files() -> st.SearchStrategy[bytes]:
    mutated = st.builds(mutate, st.sampled_from(seeds()), st.builds(random.Random, st.integers(0, 2**32)))
    return built() | built() | mutated | damaged(seeds())
