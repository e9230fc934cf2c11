"""Does a request say that it wants no code? "Don't write any code, just explain ...", in twenty languages.

`window.split_window` asks. The phrase itself is taken out of the user's own words, which it would fill with talk of
code, and becomes a feature of its own (`structure`). "No code that uses eval" asks for code, and is left as it is.
"""

import re
from typing import Final

LEAST_LEFT: Final = 8  # characters; with less, the phrase was the message

_ANCHORS: Final = (
    "cod",
    "cód",
    "kod",
    "kód",
    "код",
    "代码",
    "代碼",
    "程序",
    "コード",
    "코드",
    "كود",
    "कोड",
    "snippet",
    "program",
)
_VERB = (
    r"(?:write|show|give|include|use|add|send|post|produce|output|generate|want|need|provide|paste|print|type"
    r"|answer with|respond with|reply with|ask(?:ing)? for|looking for|after)"
)
_MORE = (  # what follows "code" where code is wanted after all, or where something else is meant
    r"(?![\w-]|\s+(?:that|which|who|with|using|like|duplicat\w*|repetit\w*|review\w*|points?|comments?"
    r"|changes?|smells?"
    r"|coverage|blocks?|formatting|platforms?|tools?|solutions?|builders?|apps?|style|names?|fences?|golf|is"
    r"|was|are|ran|runs?)\b)"
)
_ENGLISH = (
    rf"\b(?:do not|don['’]?t|dont|never|not|no need to|needn['’]?t|shouldn['’]?t|must not"
    rf"|avoid)\s+(?:\w+\s+)?{_VERB}\s+"
    rf"(?:me\s+|us\s+)?(?:(?:any|the|a|some|actual|single|source|python|line of|lines of)\s+){{0,3}}"
    rf"(?:code|coding|(?:code )?snippets?|programs?|scripts?)\b{_MORE}"
    rf"|\b(?:no|without|zero|skip|never mind|forget|leave out|minus)\s+(?:(?:writing|showing|using|giving|any"
    rf"|the|actual|source"
    rf"|a line of|single|need for)\s+){{0,3}}(?:code|coding|code snippets?|programming|a program)\b{_MORE}"
    r"|\b(?:do not|don['’]?t|dont)\s+(?:code|program)\s+(?:anything|it|this)\b"
)
_EUROPE = (
    r"\b(?:keine[rn]?|ohne|kein)\s+(?:\w+\s+)?(?:quell|programm|beispiel)?code\b(?!\s+(?:mit|der|die|das)\b)"
    r"|\b(?:n['’]\w+\s+)?(?:pas|sans|aucun)\s+(?:\w+\s+)?(?:de\s+|d['’])?(?:\w+\s+)?code\b(?!\s+(?:qui|avec)\b)"
    r"|\b(?:sin|nada de|ningún|no\s+\w+)\s+(?:\w+\s+)?(?:ningún\s+|nada de\s+)?código\b(?!\s+(?:que|con)\b)"
    r"|\b(?:senza|niente|nessun|non\s+\w+)\s+(?:\w+\s+)?(?:alcun\s+|del\s+)?codice\b(?!\s+(?:che|con)\b)"
    r"|\b(?:sem|nada de|nenhum|não\s+\w+)\s+(?:\w+\s+)?(?:nenhum\s+)?código\b(?!\s+(?:que|com)\b)"
    r"|\b(?:geen|zonder)\s+(?:\w+\s+)?code\b(?!\s+(?:die|met)\b)"
    r"|\b(?:nie\s+\w+|bez|żadnego)\s+(?:\w+\s+)?kodu\b(?!\s+(?:z|który)\b)"
    r"|\b(?:ingen|utan|uten|uden)\s+(?:\w+\s+)?kode?\b|\bbez\s+(?:\w+\s+)?kódu\b|\bnepiš\s+(?:\w+\s+)?kód\b"
    r"|\b(?:jangan|tanpa)\s+(?:\w+\s+)?kode?\b|\b(?:đừng|không)\s+(?:viết|cần|đưa)\s+(?:mã|code)\b"
    r"|\bkod\s+(?:\w+\s+)?(?:yazma\w*|istemiyorum|verme|gösterme|olmadan|kullanmadan)\b|\bkodsuz\b"
    r"|\b(?:не\s+(?:надо\s+|нужно\s+)?\w+|без|никакого)\s+(?:\w+\s+)?код[ау]?\b(?!\s+(?:с|котор\w+)\b)"
    r"|\bкоду?\s+не\s+(?:нужен|нужно|надо|пиши\w*|показывай\w*|потрібен)\b"
)
_WIDE = (
    r"(?:不要|别|別|不用|不需要|无需|請勿|请勿|不必)(?:给我|写|寫|给|用|贴|出现|输出|任何|出|看)*(?:代码|代碼|程序)"
    r"|コード(?:は|を|も)?(?:書か(?:ない|ず)|なし|無し|抜き|不要|いりません|いらない|要りません|見せない|示さない|使わ)[でに]?"
    r"|코드(?:는|를|도)?\s*(?:쓰지|작성하지|짜지|보여주지|없이|필요\s*없|필요는\s*없|말고|빼고|주지)(?:\s*(?:말고|마|어|고))?"
    r"|(?:لا\s+(?:تكتب|أريد|تعطني|تستخدم|تعرض)|بدون|دون|من\s+غير)\s+(?:كتابة\s+)?(?:أي\s+)?كود\w*"
    r"|बिना\s+(?:किसी\s+)?कोड(?:\s+(?:के|लिखे))?|कोड\s+(?:मत|नहीं|न)\s*(?:लिख\S*|चाहिए|दो|दें)?"
)
_BAN: Final = re.compile(f"{_ENGLISH}|{_EUROPE}|{_WIDE}")


def strike(text: str) -> tuple[str, bool]:
    """Take phrases that ask for no code out of a text: (what is left, whether there were any)."""
    low = text.lower()
    if len(low) != len(text) or not _is_anchored(low) or not _BAN.search(low):
        return text, False
    left, at = [], 0
    for found in _BAN.finditer(low):
        left.append(text[at : found.start()])
        at = found.end()
    rest = " ".join([*left, text[at:]]).strip(" \t\n,.;:!-–—。，、：")
    return (rest if len(rest) >= LEAST_LEFT else text), True


def _is_anchored(low: str) -> bool:
    """Say whether a lower-case text holds what every phrase needs: a plain loop, because every request pays for it."""
    for anchor in _ANCHORS:  # noqa: SIM110 - `any` takes three times as long
        if anchor in low:
            return True
    return False
