"""The one sentence, per language, with which the researcher says that the documents hold no answer.

The recipes train on it and the evaluation recognises it, so both read it here. One fixed wording a language keeps
abstention easy to learn and exact to detect. Keys are ISO 639-1 codes; English is the fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

UNKNOWN: Mapping[str, str] = MappingProxyType(
    {
        "en": "I don't know: the documents do not say.",
        "de": "Ich weiß es nicht: Die Dokumente sagen dazu nichts.",
        "es": "No lo sé: los documentos no lo dicen.",
        "fr": "Je ne sais pas : les documents ne le disent pas.",
        "it": "Non lo so: i documenti non lo dicono.",
        "pt": "Não sei: os documentos não o dizem.",
        "nl": "Ik weet het niet: de documenten zeggen er niets over.",
        "pl": "Nie wiem: dokumenty tego nie podają.",
        "ru": "Я не знаю: в документах об этом не сказано.",
        "tr": "Bilmiyorum: belgelerde bu yazmıyor.",
        "zh": "我不知道：文档中没有说明。",
        "ja": "わかりません：文書には書かれていません。",
        "ko": "모르겠습니다: 문서에 나와 있지 않습니다.",
        "ar": "لا أعرف: الوثائق لا تذكر ذلك.",
        "hi": "मुझे नहीं पता: दस्तावेज़ों में यह नहीं बताया गया है।",
    }
)
