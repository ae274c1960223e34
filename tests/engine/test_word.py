"""Word documents become text in document order, with headings as sections, and with their notes."""

from __future__ import annotations

import time

import docx
import pytest
from docx.oxml.ns import nsdecls

from engine.documents import Limits, Mark, read_document
from engine.errors import DocumentError
from tests.uploads import RELATIONS, main_part, paragraph, refused, saved, with_body, with_part


def noted(body: str, footnotes: str, endnotes: str = "") -> bytes:
    """A DOCX with footnotes and endnotes."""
    parts = {"word/document.xml": main_part(body)}
    related = ""
    for kind, xml in (("footnotes", footnotes), ("endnotes", endnotes)):
        parts[f"word/{kind}.xml"] = f"<w:{kind} {nsdecls('w')}>{xml}</w:{kind}>".encode()
        related += f'<Relationship Id="r{kind}" Type="{RELATIONS}{kind}" Target="{kind}.xml"/>'
    return with_part(parts, related)


def note(number: int, *texts: str, kind: str = "footnote", attributes: str = "") -> str:
    return f'<w:{kind} w:id="{number}" {attributes}>{"".join(map(paragraph, texts))}</w:{kind}>'


def reference(number: int, kind: str = "footnote") -> str:
    return f'<w:r><w:{kind}Reference w:id="{number}"/></w:r>'


def test_docx_headings_lists_and_tables_in_order():
    source = docx.Document()
    source.add_heading("The Report", 0)
    source.add_paragraph("An opening.")
    source.add_heading("First part", 1)
    source.add_paragraph("salt", style="List Bullet")
    source.add_paragraph("pepper", style="List Number")
    table = source.add_table(rows=2, cols=2)
    for cell, text in zip(
        (c for row in table.rows for c in row.cells), ["year", "ships", "1893", "one\ntwo"], strict=True
    ):
        cell.text = text
    source.add_heading("Second part", 2)
    source.add_paragraph("The end.")
    document = read_document(saved(source), "report.docx")
    assert document.text == (
        "The Report\n\nAn opening.\n\nFirst part\n\n- salt\n- pepper\n\nyear | ships\n1893 | one two\n\n"
        "Second part\n\nThe end."
    )
    places = {
        text: document.locate(document.text.index(text)) for text in ("opening", "First", "pepper", "1893", "end.")
    }
    assert places == {
        "opening": (None, "The Report"),
        "First": (None, "First part"),
        "pepper": (None, "First part"),
        "1893": (None, "First part"),
        "end.": (None, "Second part"),
    }


def test_docx_text_that_python_docx_skips_is_kept_and_deleted_text_is_not():
    def run(text: str) -> str:
        return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'

    data = with_body(
        f"<w:sdt><w:sdtContent><w:p>{run('In a content control.')}</w:p></w:sdtContent></w:sdt>"
        f"<w:p>{run('The door is ')}<w:del><w:r><w:delText>red</w:delText></w:r></w:del><w:ins>{run('green')}</w:ins>"
        "<w:r><w:t>.</w:t><w:tab/><w:t>A</w:t><w:noBreakHyphen/><w:t>B</w:t><w:br/><w:t>C</w:t></w:r></w:p>"
        f"<!-- note --><w:p>{run('Anchor.')}<w:r><w:pict><w:txbxContent><w:p>{run('In a box.')}</w:p></w:txbxContent>"
        "</w:pict></w:r></w:p>"
    )
    text = read_document(data, "a.docx").text
    assert text == "In a content control.\n\nThe door is green.\tA-B\nC\n\nAnchor.\nIn a box."


def test_damaged_docx_is_refused_with_its_cause():
    with pytest.raises(DocumentError, match="damaged Word document") as caught:
        read_document(with_body("<w:p>"), "a.docx")
    assert caught.value.__cause__ is not None


def test_docx_cut_short_is_refused():
    data = saved(docx.Document())
    assert "not a Word (DOCX) file, or is damaged" in refused(data[: len(data) // 2], "a.docx")


def test_docx_without_text_is_refused():
    assert "no text" in refused(saved(docx.Document()), "empty.docx")


def test_old_and_protected_word_files_are_named_as_such():
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    assert "Save it as .docx" in refused(ole, "a.docx")
    assert "Save it as .docx" in refused(b"whatever", "a.DOC")
    assert "protected by a password" in refused(ole + "EncryptedPackage".encode("utf-16-le"), "a.docx")


def test_notes_follow_the_paragraph_that_refers_to_them():
    one = paragraph("The lamp was lit.").replace("</w:p>", reference(2) + reference(7, "endnote") + "</w:p>")
    notes = note(0, "a line", attributes='w:type="separator"') + note(2, "By Isolde.", "In 1874.") + note(3, "unused")
    ends = note(7, "See the logbook.", kind="endnote")
    text = read_document(noted(one + paragraph("It burned."), notes, ends), "a.docx").text
    assert text == "The lamp was lit.\n[1: By Isolde. In 1874.]\n[2: See the logbook.]\n\nIt burned."


def test_notes_of_a_heading_are_no_part_of_its_name():
    heading = paragraph("The Lamp", '<w:pStyle w:val="Heading1"/>').replace("</w:p>", reference(2) + "</w:p>")
    document = read_document(noted(heading, note(2, "Now gone.")), "a.docx")
    assert document.text == "The Lamp\n[1: Now gone.]"
    assert document.marks == (Mark(0, section="The Lamp"),)


def test_notes_of_a_table_follow_it_and_a_note_is_given_once():
    cell = paragraph("oil").replace("</w:p>", reference(2) * 3 + "</w:p>")
    table = f"<w:tbl><w:tr><w:tc>{cell}</w:tc><w:tc>{cell}</w:tc></w:tr></w:tbl>"
    assert read_document(noted(table, note(2, "Of whales.")), "a.docx").text == "oil | oil\n[1: Of whales.]"


def test_notes_do_not_multiply():
    body = paragraph("x").replace("</w:p>", reference(2) * 2000 + "</w:p>")
    assert len(read_document(noted(body, note(2, "y" * 100_000)), "a.docx").text) < 101_000


STYLES = """<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="Mein"><w:name w:val="Mein Kopf"/><w:basedOn w:val="berschrift1"/></w:style>
<w:style w:type="paragraph" w:styleId="Kreis"><w:name w:val="Kreis"/><w:basedOn w:val="Kreis"/></w:style>
<w:style w:type="paragraph" w:styleId="Rang"><w:name w:val="Rang"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Liste"><w:name w:val="Aufz"/>
<w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr></w:style>"""


@pytest.mark.parametrize(
    ("style", "more", "section"),
    [
        ("berschrift1", "", "Kopf"),
        ("Mein", "", "Kopf"),
        ("Rang", "", "Kopf"),
        ("Kreis", "", None),
        ("unknown", "", None),
        ("Kreis", '<w:outlineLvl w:val="0"/>', "Kopf"),
        ("Mein", '<w:outlineLvl w:val="9"/>', None),
    ],
)
def test_headings_are_known_by_style_or_outline_in_any_language(style, more, section):
    styles = f"<w:styles {nsdecls('w')}>{STYLES}</w:styles>".encode()
    body = main_part(paragraph("Kopf", f'<w:pStyle w:val="{style}"/>{more}'))
    document = read_document(with_part({"word/document.xml": body, "word/styles.xml": styles}), "a.docx")
    assert document.locate(0) == (None, section)


def test_lists_are_known_by_style_and_may_be_taken_back():
    styles = f"<w:styles {nsdecls('w')}>{STYLES}</w:styles>".encode()
    body = main_part(
        paragraph("salt", '<w:pStyle w:val="Liste"/>')
        + paragraph("oil", '<w:numPr><w:numId w:val="4"/></w:numPr>')
        + paragraph("plain", '<w:pStyle w:val="Liste"/><w:numPr><w:numId w:val="0"/></w:numPr>')
    )
    document = read_document(with_part({"word/document.xml": body, "word/styles.xml": styles}), "a.docx")
    assert document.text == "- salt\n- oil\n\nplain"


def test_a_whole_paragraph_dressed_as_a_heading_is_text():
    document = read_document(with_body(paragraph("word " * 80, '<w:outlineLvl w:val="0"/>')), "a.docx")
    assert document.marks == ()


def test_hidden_text_and_comments_are_left_out():
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>HIDDEN</w:t></w:r>"
    shown = '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t>shown</w:t></w:r>'
    assert read_document(with_body(f"<w:p><!-- c --><?pi x?>{hidden}{shown}</w:p>"), "a.docx").text == "shown"


def test_a_document_without_styles_and_with_another_main_part_is_read():
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{RELATIONS}officeDocument" Target="/word/document2.xml"/></Relationships>'
    )
    parts = {"_rels/.rels": relations.encode(), "word/document2.xml": main_part(paragraph("Some words."))}
    assert read_document(with_part(parts), "a.docx").text == "Some words."


def test_a_hundred_thousand_elements_are_read_in_seconds_and_in_order():
    began = time.perf_counter()
    text = read_document(with_body("".join(paragraph(f"p{n}") for n in range(20_000))), "a.docx").text
    assert text.split("\n\n") == [f"p{n}" for n in range(20_000)]
    assert time.perf_counter() - began < 10


def test_paragraphs_are_read_only_until_their_text_is_too_long():
    data = with_body(paragraph("x" * 100) * 50)
    assert "more than 1,000 characters" in refused(data, "a.docx", limits=Limits(max_characters=1000))
