"""Whether a Chinese question leans on what was said before: 他为什么离开？ 那罗恩呢？ 为什么？"""

from __future__ import annotations

import re

HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")

_STOPS = "\uff0c\u3002\uff1b\uff1f\uff01\u3001,.;?! \u3000"
_QUOTED = re.compile(r"[\u300a\u300c\u201c\"][^\u300b\u300d\u201d\"]+[\u300b\u300d\u201d\"]")
_OPENERS = re.compile(
    rf"(?:那么|那(?![里个些时天年次位种样儿边件])|然后|而且|还有|另外|所以|但是|可是|不过|请问|请|好的|好)(?=[{_STOPS}]|.)[{_STOPS}]*"
)
# What points at somebody or something, and not 其他, 尤其, 因此, 那么, 那里 of a clause.
_POINTING = re.compile(
    r"(?<![其吉])[他她它]们?(?!\u4eba\u7684?[\u6240\u4e0d])|(?<![\u5c24\u6781\u4e0e\u4f55\u77e5\u4efb])其(?![\u4ed6\u5b83\u4e2d\u5b9e\u6b21\u4f59\u5999])|"
    r"[这那](?![么]|[几两三四五六七八九十]?[本篇部份段]|个?故事|个?文[本档件]|些文[本档件])|(?<![因从如彼在])此(?![外后前时刻])[人事物举地]|前者|后者|上述|该(?:人|公司|条|事)"
)
_ASKING = re.compile(
    r"什么时候|为什么|什么|怎么样|怎么|怎样|如何|多少|多久|多大|多长|几|哪里|哪儿|哪[年天个位些一]?|谁|何时|何地|吗|呢|么|吧|"
    r"的|了|是|在|有|被|把|对|和|与|又|也|都|还|就|会|能|要|说|请|告诉|我|你|后来|之后|以后|最后|结果|发生|继续|详细|具体|"
    r"更多|举例|例子|解释|意思|原因|年|天|时候|一|个|点|些|再|吧|不|没|可以|到底|究竟|真|确定"
)
_ENDS = re.compile(rf"(?:的|了|吗|呢|么|吧|过)*[{_STOPS}]*\Z")
# Characters that a question must have beside its asking to stand alone.
_LEAST = 2


def leans_in_chinese(question: str) -> bool:
    """Return whether a Chinese question needs what was said before it."""
    text = _QUOTED.sub("\u4e66\u540d", question).strip()
    bare = _OPENERS.sub("", text, count=1)
    if len(_telling(bare)) < _LEAST:
        return True
    # 那罗恩呢？ 罗恩呢？
    if re.fullmatch(rf"[^{_STOPS}]{{1,12}}呢[{_STOPS}]*", bare) and not re.search(r"什么|谁|哪|怎|何|几|多少", bare):
        return True
    return any(not _is_resolved(bare, found) for found in _POINTING.finditer(bare))


def _is_resolved(text: str, found: re.Match[str]) -> bool:
    """Whether something before the word can be what it means; what ends a clause is not its own subject."""
    before = text[: found.start()]
    if len(_telling(before)) < _LEAST:
        return False
    is_object = bool(_ENDS.match(text, found.end()))
    return not is_object or any(stop in before for stop in _STOPS)


def _telling(text: str) -> str:
    """Return the characters of a text that say what it is about."""
    return "".join(c for c in _ASKING.sub("", text) if c.isalnum())
