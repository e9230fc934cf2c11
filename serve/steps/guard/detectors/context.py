"""Words before a number that say what it is."""

import re
from collections.abc import Iterable
from typing import Final

from serve.steps.guard.finding import CONTEXT
from serve.steps.guard.plain_text import plain


class ContextWords:
    """Words that must stand before a span, nearer than any of the words that say it is something else."""

    def __init__(self, words: Iterable[str], others: Iterable[str] = ()) -> None:
        """Take beginnings of words; a word of a script without blanks is found anywhere."""
        self._wanted = _pattern(words)
        self._others = _pattern(others)

    def precede(self, text: str, start: int) -> bool:
        """Tell whether they do, before `text[start]`."""
        before = text[max(0, start - CONTEXT) : start].lower()
        wanted = _last(self._wanted, before)
        return wanted >= 0 and wanted > _last(self._others, before)


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    found = sorted((plain(word).lower() for word in words), key=len, reverse=True)
    spaced = "|".join(re.escape(word) for word in found if word.isascii() or (word[0].isalpha() and word[0] < "\u0900"))
    joined = "|".join(re.escape(word) for word in found if not word.isascii() and word[0] >= "\u0900")
    return re.compile("|".join(part for part in (rf"\b(?:{spaced})" if spaced else "", joined) if part) or r"(?!)")


def _last(pattern: re.Pattern[str], text: str) -> int:
    last = -1
    for match in pattern.finditer(text):
        last = match.start()
    return last


CARD: Final = (
    "card", "credit", "debit", "visa", "mastercard", "amex", "maestro", "cc", "pan", "karte", "kredit", "carte",
    "tarjeta", "cartão", "cartao", "carta", "kaart", "kort", "karta", "kartu", "thẻ", "карт", "بطاقة", "कार्ड",
    "บัตร", "カード", "卡", "카드",
)  # fmt: skip

PHONE: Final = (
    "phone", "tel", "telephone", "mobile", "cell", "fax", "call", "dial", "ring", "sms", "text me", "whatsapp",
    "desk:", "office:", "contact", "reach", "answering", "message", "voicemail", "hotline", "handy", "telefon",
    "rufnummer", "anruf", "téléphon", "portable", "appel", "teléfono", "móvil", "movil", "llam", "celular",
    "telemóvel", "ligue", "cellulare", "chiam", "telefoon", "bel ", "mobil", "ring ", "puhelin", "телефон",
    "тел", "звон", "τηλ", "هاتف", "جوال", "फोन", "मोबाइल", "โทร", "điện thoại", "電話", "电话", "手机", "携帯",
    "전화",
)  # fmt: skip

NOT_A_PHONE: Final = (
    "order", "card", "account", "ssn", "security", "zip", "postal", "licen", "passport", "iban", "invoice",
    "id", "isbn", "serial", "tracking", "version", "date", "price", "total", "amount", "population", "year",
    "part", "model", "case", "ticket", "reference",
)  # fmt: skip
