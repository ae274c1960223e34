"""Plain texts in every encoding that people have, and what is no text although its name says so."""

from __future__ import annotations

import codecs
import io
import sys
import zipfile
from functools import partial
from pathlib import Path

from tests.benchmarks.documents_cases import MB, Case, Read, Refused, holding, noise, prose

_FRENCH = (
    "À la tombée de la nuit, le gardien, déjà âgé, montait l'escalier du phare. « Où sont les bateaux ? » demandait "
    "sa sœur. L'huile coûtait 12 € le fût, ce qui était très cher."
)
_TYPESET = (
    "À la tombée de la nuit, le gardien – déjà âgé – montait l’escalier du phare. “Où sont les bateaux ?” demandait "
    "sa sœur… L’huile coûtait 12 € le fût, ce qui était très cher."
)
_GERMAN = (
    "Über dem Hafen kreischten die Möwen, und der Wärter schloss die schwere Tür. Für die Schiffe draußen brannte das "
    "Licht die ganze Nacht. Am Morgen fütterte er die Hühner."
)
_POLISH = (
    "Późnym wieczorem latarnik zapalił lampę i usiadł przy oknie. Łodzie wracały już do portu, a żagle były mokre od "
    "deszczu. Następnego dnia świeciło słońce."
)
_CZECH = (
    "Pozdě večer strážce rozsvítil lampu a sedl si k oknu. Lodě se už vracely do přístavu a plachty byly mokré od "
    "deště. Příští den svítilo slunce."
)
_RUSSIAN = (
    "Поздним вечером смотритель зажёг лампу и сел у окна. Лодки уже возвращались в гавань, и паруса были мокрыми от "
    "дождя. На следующий день светило солнце."
)
_GREEK = (
    "Αργά το βράδυ ο φύλακας άναψε τη λάμπα και κάθισε στο παράθυρο. Οι βάρκες γύριζαν ήδη στο λιμάνι και τα πανιά "
    "ήταν βρεγμένα από τη βροχή. Την άλλη μέρα είχε ήλιο."
)
_TURKISH = (
    "Gece geç saatte bekçi lambayı yaktı ve pencerenin yanına oturdu. Tekneler çoktan limana dönüyordu, yelkenler "
    "yağmurdan ıslanmıştı. Ertesi gün güneş parlıyordu."
)
_SIMPLIFIED = "深夜，守塔人点亮了灯，坐在窗边。渔船已经陆续回港，船帆被雨水打湿了。第二天，太阳照在平静的海面上。"
_TRADITIONAL = "深夜，守塔人點亮了燈，坐在窗邊。漁船已經陸續回港，船帆被雨水打濕了。第二天，太陽照在平靜的海面上。"
_JAPANESE = (
    "夜遅く、灯台守はランプに火をともして窓辺に座った。漁船はもう港へ戻りはじめ、帆は雨にぬれていた。"
    "翌日は太陽が静かな海を照らした。"
)
_KOREAN = (
    "늦은 밤 등대지기는 등불을 켜고 창가에 앉았다. 배들은 벌써 항구로 돌아오고 있었고 돛은 비에 젖어 있었다. "
    "다음 날에는 해가 잔잔한 바다를 비추었다."
)
_ALL = "\n".join((_TYPESET, _POLISH, _RUSSIAN, _GREEK, _SIMPLIFIED, _JAPANESE, _KOREAN, "The lamp is lit 😀."))

_ENCODED = (
    ("UTF-8", "utf-8", _ALL),
    ("UTF-8 with BOM", "utf-8-sig", _ALL),
    ("UTF-16 LE with BOM", "utf-16-le", "\ufeff" + _ALL),
    ("UTF-16 BE with BOM", "utf-16-be", "\ufeff" + _ALL),
    ("UTF-16 LE without BOM", "utf-16-le", _ALL),
    ("UTF-16 BE without BOM", "utf-16-be", _ALL),
    ("UTF-32 LE with BOM", "utf-32-le", "\ufeff" + _ALL),
    ("UTF-32 BE with BOM", "utf-32-be", "\ufeff" + _ALL),
    ("cp1252", "cp1252", _TYPESET),
    ("ISO-8859-1", "iso8859-1", _GERMAN),
    ("ISO-8859-2", "iso8859-2", _CZECH),
    ("ISO-8859-5", "iso8859-5", _RUSSIAN),
    ("ISO-8859-7", "iso8859-7", _GREEK),
    ("ISO-8859-9", "iso8859-9", _TURKISH),
    ("ISO-8859-15", "iso8859-15", _FRENCH),
    ("cp1250", "cp1250", _POLISH),
    ("cp1251", "cp1251", _RUSSIAN),
    ("KOI8-R", "koi8-r", _RUSSIAN),
    ("GB18030", "gb18030", _SIMPLIFIED),
    ("Big5", "big5", _TRADITIONAL),
    ("Shift-JIS", "shift_jis", _JAPANESE),
    ("EUC-JP", "euc_jp", _JAPANESE),
    ("EUC-KR", "euc_kr", _KOREAN),
)


def _letter(text: str) -> str:
    """Return a page or two: the text again and again, numbered."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + "\n".join(f"{number}. {text.removeprefix(mark)}" for number in range(1, 21))


def _encoded(title: str, encoding: str, text: str) -> Case:
    letter = partial(_letter, text)
    make = holding(lambda: letter().encode(encoding))
    return Case(f"TXT, {title}", "letter.txt", make, Read(lambda: letter().removeprefix("\ufeff")))


def _long(name: str, size: int, end: str, encoding: str, large: bool) -> Case:
    """A text of ``size`` bytes, ASCII but for its end."""
    last = end.encode(encoding)

    def text() -> str:
        return prose(size - len(last)) + end

    return Case(name, "long.txt", holding(lambda: text().encode(encoding)), Read(text), large=large)


def _sparse(path: Path) -> None:
    """Make a file that has a size and takes no room."""
    with path.open("wb") as file:
        file.truncate(201 * MB)


def _png() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.frombytes("RGB", (64, 64), noise(64 * 64 * 3)).save(out, "PNG")
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes.txt", prose(5000))
    return out.getvalue()


def _program() -> bytes:
    """Return the beginning of a real program: an ELF file on Linux."""
    with Path(sys.executable).resolve().open("rb") as file:
        return file.read(MB)


def _words(path: Path) -> object:
    return path.write_bytes(b"The lamp is lit.\n")


def cases() -> list[Case]:
    binary = "is not a text: it looks like a binary file"
    html = b"<!doctype html><html><body><p>The lamp is lit.</p></body></html>"
    far, western = "first odd byte far into the file", "\n" + _TYPESET
    return [
        *(_encoded(*encoded) for encoded in _ENCODED),
        _long(f"TXT, {far}: 5 MB, cp1252", 5 * MB, western, "cp1252", False),
        _long(f"TXT, {far}: 5 MB, UTF-8", 5 * MB, western, "utf-8", False),
        _long(f"TXT, {far}: 5 MB, GB18030", 5 * MB, "\n" + _SIMPLIFIED, "gb18030", False),
        _long(f"TXT, {far}: 150 MB, cp1252", 150 * MB, western, "cp1252", True),
        _long("TXT, 200 MB of ASCII", 200 * MB, "", "ascii", True),
        _long("TXT, 200 MB with an emoji at the end", 200 * MB, "😀", "utf-8", True),
        Case("empty file", "empty.txt", Path.touch, Refused("is empty (0 bytes)")),
        Case("blank: newlines", "blank.txt", holding(lambda: b"\r\n" * 500), Refused("only white space")),
        Case(
            "white space only, UTF-8 with BOM",
            "space.txt",
            holding(lambda: codecs.BOM_UTF8 + " \t\u3000\xa0\n".encode() * 500),
            Refused("only white space"),
        ),
        Case("program renamed .txt", "program.txt", holding(_program), Refused(binary)),
        Case("PNG renamed .txt", "picture.txt", holding(_png), Refused(binary)),
        Case("ZIP renamed .txt", "archive.txt", holding(_zip), Refused(binary)),
        Case("HTML renamed .pdf", "page.pdf", holding(lambda: html), Refused("named .pdf but is not a PDF")),
        Case(
            "name with parts of a path",
            "lamp.txt",
            _words,
            Read(lambda: "The lamp is lit.\n", name="passwd.txt"),
            given="../../../etc/passwd.txt",
        ),
        Case(
            "name with parts of a path, Windows",
            "lamp.txt",
            _words,
            Read(lambda: "The lamp is lit.\n", name="hosts.txt"),
            given="C:\\Windows\\..\\hosts.txt",
        ),
        Case("too large: 201 MB", "large.txt", _sparse, Refused("has 201.0 MB; at most 200.0 MB are read")),
    ]
