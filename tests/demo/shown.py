"""For tests of what is shown: hostile texts, and HTML as a browser would read it."""

from html.parser import HTMLParser

from engine.events import Passage

# Every tag there may be, with the attributes it may have.
KNOWN = {
    "div": {"class", "role", "aria-live", "style"},
    "span": {"class", "title"},
    "p": {"class"},
    "article": {"class", "id", "tabindex"},
    "header": set(),
    "b": set(),
    "mark": set(),
    "h4": set(),
    "a": {"href", "download"},
    "section": {"class"},
    "details": {"class"},
    "summary": set(),
    "img": {"loading", "src", "alt"},
    "table": {"class"},
    "tr": set(),
    "td": set(),
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</p></article><script src=//evil.example></script>",
    '<img src=x onerror="alert(1)">',
    "<svg/onload=alert(1)>",
    "<!-- a comment --><!DOCTYPE html><?php 1 ?><![CDATA[x]]>",
    '" onmouseover="alert(1)" x="',
    "' onmouseover='alert(1)' x='",
    "\"><b onclick='x'>bold</b>",
    "R&D, AT&T; &lt;b&gt; &amp; &#60; &quot;",
    "a < b > c",
    "javascript:alert(1)",
    "<a href='javascript:alert(1)'>here</a>",
    "<iframe srcdoc='<script>1</script>'>",
    "<style>*{display:none}</style>",
    "\x00<b>\x00",
    "</td></tr></table><h1>Pwned",
    "{{7*7}} ${7*7} %s {0}",
]
STATS = {"language": "en", "context_tokens": 14205, "memory_tokens": 2048, "memory_bytes": 94371840, "chunks": 63}
TIMINGS = {"clues": 1.25, "retrieval": 0.02, "first_token": 2.5, "total": 4.5}


class Page(HTMLParser):
    """Tags with their attributes, and the text between them, as a browser would find them."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.foreign, self.open = [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += [tag] if tag != "img" else []
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> is given twice"

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def handle_comment(self, data):
        self.foreign.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    @property
    def text(self):
        return "".join(self.texts)

    @property
    def skeleton(self):
        return [(tag, sorted(attrs)) for tag, attrs in self.tags]

    def attributes(self, name):
        return [attrs[name] for _, attrs in self.tags if name in attrs]


def page_of(html):
    """Parse HTML and check that it is well-formed and holds nothing but known tags and attributes."""
    page = Page(html)
    assert page.foreign == []
    assert page.open == []
    for tag, attrs in page.tags:
        assert tag in KNOWN, f"<{tag}>"
        assert set(attrs) <= KNOWN[tag], f"<{tag} {attrs}>"
    return page


def passage(number=1, body="The door is yellow.", **facts):
    return Passage(number, body, facts.pop("document", "book.txt"), 0, len(body), **facts)


def assert_shown_as_text(build, *values):
    """What ``build`` makes of ``values`` has the same tags as for harmless words, and shows the values as they are."""
    page, harmless = page_of(build(*values)), page_of(build(*("word" for _ in values)))
    assert page.skeleton == harmless.skeleton
    for value in values:
        assert value in page.text
    return page
