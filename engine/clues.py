"""What a memory says becomes clues: one a line, cleaned of whatever is no hint.

Works on text alone and for any script: letters are what Unicode calls letters, marks and figures, because the vowel
signs of Thai or Hindi are no word characters to ``re``, and where words are not set apart, pairs of letters stand for
words. Nothing is dropped for want of a full stop: Thai has none.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from engine.chunking import FULL_STOP
from engine.events import Clue, ClueKind, Reply
from engine.prompt import Prompts

# Characters of a clue at most: a longer line names too much to be a hint; and of a line that are looked at.
_LONGEST, _READ = 300, 1200
# Clues of one kind at most, and lines that differ in figures only: small models count on and on.
_MOST, _MOST_ALIKE = 16, 2
# A line is nearly an instruction when this share of its words, or less, is not the instruction's.
_NEW = 0.2

# What models number and mark the lines of a list with. "3.5 metres", "10:30", "-4 degrees" and "J. Smith" are no marks.
_HAN_NUMBER = "[一二三四五六七八九十]{1,3}"
_MARKS = (
    # bullets and Markdown
    r"(?:[-\u2212+](?!\d)|[*_>#\u00b7\u2010-\u2015\u2022\u2023\u2043\u2192\u21d2\u2219\u25a0-\u25ff\u2605\u2606"
    r"\u2713-\u2718\u27a2-\u27a4\u30fb\uff65])+",
    # (1) [1] (a) (iv) and their wide forms
    rf"[(\[\uff08\u3010\uff3b]\s?(?:\d{{1,2}}|[ivxIVX]{{1,4}}|[^\W\d_]|{_HAN_NUMBER})\s?[)\]\uff09\u3011\uff3d]"
    r"[.:\uff1a\u3001]?",
    # 1. 1) 1: 1 - and their wide forms, with the figures of any script
    r"\d{1,2}(?:[.)]{1,2}(?:\s+|(?!\d))|:\s+|\s*[-\u2013\u2014]\s+(?!\d)|[\uff0e\u3001\uff09\uff1a](?!\d))",
    # figures in circles and on keys
    r"(?:[\u2460-\u24ff\u2776-\u2793\u3220-\u3229\u3280-\u3289]|\d\ufe0f?\u20e3)[.\u3001]?",
    # Chinese numbers
    rf"(?:{_HAN_NUMBER}[\u3001\uff0e.:\uff1a)\uff09]|第{_HAN_NUMBER}[\u3001\uff0c:\uff1a])(?!\d)",
    # a) a. iv. II.
    r"[^\W\d_][)\uff09]|(?:[a-e]|[ivx]{2,4}|[IVX]{2,4})\.\s+",
)
# What models call the lines of a list: "Question 2:", "Span 1 -", "Surrogate question:".
_NAMES = (
    r"(?:(?:simpler|simple|surrogate|short|sub|key|main|follow-?up)[ -]?)*"
    r"(?:questions?|answers?|spans?|statements?|facts?|clues?|points?|hints?|quer(?:y|ies)|[qa])",
    r"(?:preguntas?|respuestas?|hechos?|datos?|puntos?|pistas?)(?: (?:sustituta|sencilla|simple|clave)s?)?",
    "perguntas?|domand[ae]|rispost[ae]|réponses?|faits?|frage|antwort|tatsache|hinweis|вопрос|ответ|факт",
    "(?:子|替代|更?简单的?|更?簡單的?)?(?:问题|問題)|问|問|答|答案|回答|事实|事實|线索|線索|要点|要點|陈述|陳述|片段",
    "(?:代理|簡単な)?質問|事実|手がかり|질문|답변|사실|단서",
    "(?:คำถาม|คำตอบ|ข้อเท็จจริง|ข้อความ|ข้อ|เบาะแส|ประเด็น)(?:ที่|ย่อย)?",
    "(?:ال)?سؤال|إجابة|حقيقة|प्रश्न|उत्तर|तथ्य",
)
_LABEL = (
    rf"(?:{'|'.join(_NAMES)})\s?"
    rf"(?:(?:\d{{1,2}}|{_HAN_NUMBER})\s?(?:[.:\uff1a)\uff09\uff0e\u3001\u2013\u2014-](?!\d)|$)|[:\uff1a])"
)
# A polite word before what was asked for.
_POLITE = (
    "(?:sure|certainly|of course|absolutely|okay|ok|claro(?: que sí)?|por supuesto|desde luego|"
    "好的|好|当然|當然|没问题|沒問題|はい|もちろん(?:です)?|承知しました|わかりました|"
    "แน่นอน(?:ค่ะ|ครับ)?|ได้(?:เลย|ค่ะ|ครับ))"
    r"(?:[,.!\uff0c\u3001\u3002\uff01]|$)"
)
_OPENING = re.compile(rf"(?:(?:{'|'.join(_MARKS)}|(?i:{_LABEL}|{_POLITE}))\s*)+")
# Lines about the task instead of the text: "Here are three questions", "I have read the article", "I am sorry".
_DULL = (
    r"(?:here(?:['\u2019]s| is| are)|(?:these|below|the following) (?:is|are))\b(?:\W+\w+){0,4}?\W+"
    r"(?:questions?|statements?|facts?|points|clues|answers?|sentences|list)\b",
    r"i(?:['\u2019]ve| have) (?:now )?read (?:the|your|this)\b|please (?:provide|ask|tell me|give me|let me)\b",
    r"i(?:['\u2019]m| am) (?:sorry|ready|happy to)\b|as an ai\b|let me know\b|what an? \w+ question\b",
    r"(?:aquí (?:tienes|están|hay)|a continuación)\b.*\b(?:preguntas?|hechos|datos|frases|puntos|respuesta)\b",
    r"he leído (?:el|la|las|los)\b|por favor,? (?:haz|haga|proporcion|indi|formul)|lo siento\b",
    "(?:以下|下面|这里|這裡)(?:是|有).*(?:问题|問題|句|事实|事實|要点|要點|线索|線索|答案)",
    "我(?:已经?|已經)?(?:读完|讀完|阅读|閱讀|读过|讀過|看完)|(?:请|請)(?:提问|提問|提供|告诉我|告訴我|问|問)|抱歉|对不起|對不起",
    "(?:以下|次)(?:は|の|に|が).*(?:質問|事実|文|要点|回答)|.*読み(?:ました|終え)|ご?質問を(?:どうぞ|お願い)|申し訳",
    "(?:ต่อไปนี้|นี่)(?:คือ|เป็น).*(?:คำถาม|ข้อเท็จจริง|ข้อความ|ประเด็น|คำตอบ)|(?:ฉัน|ผม)ได้อ่าน|(?:กรุณา|โปรด)(?:ถาม|ระบุ)|ขออภัย",
    r"(?:yes|none|unknown|ninguno|是的|没有|沒有|不知道|いいえ|なし|ใช่|ไม่มี)\W*$",
)
_IS_DULL = re.compile("|".join(_DULL), re.IGNORECASE)
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_QUOTES = {
    '"': '"',
    "\uff02": "\uff02",
    "\u201c": "\u201d",
    "\u201d": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u00ab": "\u00bb",
    "\u00bb": "\u00ab",
    "\u300c": "\u300d",
    "\u300e": "\u300f",
    "\u2018": "\u2019",
    "'": "'",
    "`": "`",
}
_APOSTROPHES = "'\u2018\u2019"
_END = re.compile(
    rf"(?:(?:{FULL_STOP})[\"'\u2019\u201d\u00bb)]*(?=\s|$)|[\u3002\uff01\uff1f\u061f\u06d4\u0964\u0965\u104b\u17d4]+"
    r"[\"'\u2019\u201d\u00bb\u300d\u300f\uff09]*)"
)
# Scripts that do not set words apart and are not wide: Thai, Lao, Burmese, Khmer.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


def clean_clues(replies: Sequence[tuple[ClueKind, Reply]], question: str, prompts: Prompts) -> tuple[Clue, ...]:
    """Turn a model's replies into clues: one a line, without numbering, labels and quotation marks around it.

    Left out are headings, polite phrases, echoes of the question and of the instructions, repetitions, and the end of a
    reply that was cut off, unless there is nothing else.
    """
    sieve = _Sieve(question, prompts)
    for kind, reply in replies:
        lines, rest = _lines(reply)
        if not sieve.take(kind, lines):
            sieve.take(kind, [rest])
    return tuple(sieve.clues)


class _Sieve:
    """Collects clues and knows what was said before."""

    def __init__(self, question: str, prompts: Prompts) -> None:
        self.clues: list[Clue] = []
        self._seen = {_key(question)}
        told = (prompts.context, prompts.acknowledge, prompts.span, prompts.sur, prompts.qa, prompts.sum)
        self._told = [_words(re.sub(r"{\w+}", "", template)) for template in (*told, prompts.not_found)]

    def take(self, kind: ClueKind, lines: Sequence[str]) -> bool:
        """Take in the lines of one reply that are clues; return whether there was one."""
        taken: list[frozenset[str]] = []
        alike: Counter[str] = Counter()
        room = _MOST - sum(clue.kind == kind for clue in self.clues)
        for line in lines:
            if len(taken) >= room:
                break
            text = _shortened(line)
            key, words = _key(text), _words(text)
            shape = re.sub(r"\d+", "", key)
            if not _is_hint(text, key) or key in self._seen or self._is_instruction(words):
                continue
            if alike[shape] >= _MOST_ALIKE or any(words <= earlier for earlier in taken):
                continue
            alike[shape] += 1
            taken.append(words)
            self._seen.add(key)
            self.clues.append(Clue(kind, text))
        return bool(taken)

    def _is_instruction(self, words: frozenset[str]) -> bool:
        return any(len(words - told) <= _NEW * len(words) for told in self._told)


def _lines(reply: Reply) -> tuple[list[str], str]:
    """Return the finished lines of a reply, bare, and the unfinished one that a reply which was cut off ends with.

    Of that line, finished sentences count as finished. It is empty where it only begins to repeat an earlier line.
    """
    lines = [bare for line in reply.text.splitlines() if (bare := _bare(line))]
    if not reply.cut or not lines or reply.text.endswith("\n"):
        return lines, ""
    *whole, last = lines
    if ends := [end.end() for end in _END.finditer(last)]:
        return [*whole, last[: ends[-1]]], ""
    return whole, "" if any(line.startswith(last) for line in whole) else last


def _bare(line: str) -> str:
    """Return a line without numbering, labels, bold type and quotation marks around the whole of it."""
    text = " ".join(_BOLD.sub(r"\1", line[:_READ]).split())
    while True:
        opening = _OPENING.match(text)
        shorter = _unquoted(text[opening.end() :] if opening else text).strip(" *_\ufffd")
        if shorter == text:
            return text
        text = shorter


def _unquoted(text: str) -> str:
    """Return ``text`` without quotation marks around it, or without one whose other half is missing."""
    closing = _QUOTES.get(text[:1], "")
    places = [place for place, letter in enumerate(text) if place and letter in closing]
    if len(places) == 1 and text[places[0] + 1 :] in ("", ".", ",", ";", "\u3002", "\uff0c"):
        return text[1 : places[0]]
    if closing and not places and text[0] not in _APOSTROPHES:
        return text[1:]
    lonely = text[-1:] not in _APOSTROPHES and any(text[-1] in ends for ends in _QUOTES.values())
    if lonely and not any(mark in text[:-1] for mark, ends in _QUOTES.items() if text[-1] in ends):
        return text[:-1]
    return text


def _shortened(text: str) -> str:
    """Return the beginning of a long line, up to the end of a sentence or of a word where there is one."""
    if len(text) <= _LONGEST:
        return text
    head = text[:_LONGEST]
    ends = [end.end() for end in _END.finditer(head)]
    if ends and ends[-1] >= _LONGEST // 3:
        return head[: ends[-1]]
    if (space := text.rfind(" ", 0, _LONGEST + 1)) >= _LONGEST // 3:
        return text[:space]
    while head and unicodedata.category(text[len(head)])[0] == "M":  # a letter keeps its marks or goes with them
        head = head[:-1]
    return head


def _is_hint(text: str, key: str) -> bool:
    """Whether a line can help to find something. A name of two Chinese characters can; "ok", "b" and "12" cannot."""
    if text.endswith((":", "\uff1a")) or text.startswith("```") or _IS_DULL.match(text):
        return False
    if not any(map(str.isalpha, key)):
        return len(key) >= 4  # a year
    return len(key) + sum(map(_is_wide, key)) >= 3


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _runs(text: str) -> list[str]:
    """Return the runs of letters, marks and figures in ``text``, with case and width folded."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded).split()


def _key(text: str) -> str:
    """Return what two texts share that differ in punctuation, case and width only."""
    return "".join(_runs(text))


def _words(text: str) -> frozenset[str]:
    """Return the words of ``text``; pairs of letters where words are not set apart."""
    found: set[str] = set()
    for run in _runs(text):
        if _UNSPACED.search(run) or any(map(_is_wide, run)):
            found.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        else:
            found.add(run)
    return frozenset(found)
