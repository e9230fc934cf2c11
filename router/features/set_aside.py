"""Does a user put the assistant's usual task aside? "No query this time, I'm just curious: ...", in a dozen languages.

`gate.Gate` asks before it reads a system prompt: who says that the task can wait is judged by the words alone. Only the
head of the newest user turn is looked at, where people say such things.
"""

import re
from typing import Final

HEAD_CHARS: Final = 140

_THING = r"(?:[\w'’-]+\s+){0,3}?[\w'’-]+"
_NOW = (
    r"(?:this time|for now|for once|today|now|right now|for a (?:moment|minute|while|second)|just now|here"
    r"|tonight|yet)"
)
_OPENS = re.compile(
    r"^\W*(?:no|nothing|not|kein\w*|nichts?|pas|rien|niente|nessun\w*|non|geen|niet|niets|nada|sin|sem|nie|nic"
    r"|bez|без|не|ничего)"
    r"\s+(?!(?:idea|sure|problem|one|matter|doubt|wonder|longer|more|worries|offen[cs]e|so|funciona|works?"
    r"|funziona|va|es|é|è|sé"
    r"|sei|so|wiem|знаю|могу|работает|działa|de)\b)[^.:;,!?\n]{3,40}[.:;,!?]\s*\S",
)
_FREE = re.compile(
    r"\b(?:"
    # English: "not a query this time", "no puzzle today", "leave the translating for now", "this isn't for translating"
    rf"not\s+(?:a\s+|an\s+|for\s+)?{_THING}[,\s]+{_NOW}\b|no\s+{_THING}\s+(?:{_NOW}|needed|required|necessary"
    rf"|please)\b"
    r"|^\s*no\s+(?:[\w'’-]+\s+){0,2}?[\w'’-]+\s*[.:;,–—-]\s"
    rf"|(?:leave|forget|skip|drop|stop|pause|park|ignore|put)\s+(?:about\s+)?(?:the|your|that|all|with"
    rf"|this)\s+{_THING}"
    rf"(?:\s+(?:aside|away|alone|{_NOW}))?\s*[,.:;!–—-]"
    r"|(?:never mind|set aside|put aside|enough of|enough with|instead of)\s+(?:the|your|all|that|another)\b"
    r"|(?:nothing|not)\s+to\s+(?:translate|correct|fix|improve|classify|summari[sz]e|rewrite|tag|do)\b"
    r"|(?:don['’]?t|do not|please don['’]?t)\s+(?:translate|correct|fix|rewrite|classify|summari[sz]e"
    r"|tag)\s+(?:this|it|that)\b"
    r"|(?:this|that|it)\s+(?:one\s+)?(?:is not|isn['’]?t|is no)\s+(?:for|a|an|to be)\b"
    r"|(?:off[- ]topic|unrelated|different (?:question|subject|topic|thing)|something (?:else|different)"
    r"|change of subject)\b"
    r"|before (?:we|you) (?:go on|continue|start|begin)\b"
    r"|(?:out of|not in) (?:your )?role\b|(?:step|come) out of (?:your )?(?:role|character)|quick break\b"
    r"|just curious\b"
    # German, Dutch, Swedish
    rf"|(?:heute|diesmal|jetzt|gerade|ausnahmsweise)\s+(?:nichts|mal\s+nichts|kein\w*|nicht)\b"
    r"|(?:lass|vergiss)\s+(?:mal\s+)?(?:das|die|den)\s+[\w-]+|nichts\s+zu\s+\w+en\b|(?:mal\s+)?(?:was"
    r"|etwas)\s+(?:ganz\s+)?anderes\b"
    r"|vandaag\s+(?:geen|niets|niet)\b|laat\s+(?:de|het|dat)\s+\w+|iets\s+(?:heel\s+)?anders\b|idag\s+(?:inget"
    r"|ingen|inte)\b"
    # French
    r"|pas\s+(?:de\s+|d['’])?[\w-]+\s+(?:cette fois|aujourd['’]hui|maintenant|pour l['’]instant)\b"
    r"|(?:laisse|oublie|laissons|oublions)s?\s+(?:tomber\s+)?(?:les|le|la|l['’])\s*[\w-]+"
    r"|rien\s+à\s+[\w]+(?:er|ir|re)\b|^\s*pause\b"
    r"|(?:autre chose|hors sujet|rien à voir)\b"
    # Spanish, Portuguese, Italian
    r"|(?:hoy|esta vez|ahora)\s+(?:no|nada|sin)\b|esto\s+no\s+es\s+(?:para|un)\b|(?:deja|olvida"
    r"|dejemos)\s+(?:ya\s+)?(?:el|la|los|las|lo)\b"
    r"|(?:otra cosa|cambio de tema|fuera de tema)\b"
    r"|(?:hoje|desta vez|agora)\s+(?:não|nada|sem)\b|(?:deixa|esquece|deixe|esqueça)\s+(?:o|a|os|as|isso)\s"
    r"|isto\s+não\s+é\b"
    r"|(?:outra coisa|mudando de assunto)\b|(?:oggi|stavolta|questa volta|adesso)\s+(?:non|niente|nessun\w*)\b"
    r"|(?:lascia stare|lascia perdere|dimentica)\b|(?:altra cosa|cambiando argomento)\b"
    # Polish, Czech, Turkish
    r"|(?:dziś|dzisiaj|tym razem|teraz)\s+(?:nie|bez|nic)\b|(?:zostaw|zapomnij\s+o)\b|z\s+innej\s+beczki\b"
    r"|dnes\s+(?:nic|ne\w*)\b"
    r"|(?:bugün|bu sefer|şimdi)\s+(?:\w+\s+)?(?:değil|yok|istemiyorum|bırak\w*)\b|\w+[ıiuü]\s+bırak\b"
    r"|\w+\s+(?:istemiyorum|yok\s+bugün)\b|başka\s+bir\s+(?:şey|konu)\b"
    r")"
    # Russian, Ukrainian
    r"|\b(?:сегодня|сейчас|на этот раз|сьогодні|зараз)\s+(?:без|не|ничего|нічого)\b|\b(?:\w+\s+)?(?:отложим"
    r"|оставим|забудь|забудем)\b"
    r"|\b(?:не надо|не нужно)\s+\w+(?:ть|ить)\b|\bдругое\s*:|\bкстати, о другом\b"
    r"|(?:这次|今天|现在|先)(?:不用|不要|不|别)|(?:先放一放|换个话题|另外一件事|跑个题)"
    r"|(?:今日|今回|今)は(?:[^。、]{0,10})(?:なし|いらない|ではなく|じゃなく|いいです)|(?:は置いておいて|ところで別の|話は変わ)"
    r"|(?:오늘|이번|지금)(?:은|에는)?\s*\S{0,8}\s*(?:말고|아니고|됐고)|^\S+\s*말고[,，]|다른\s*(?:얘기|질문)"
    r"|(?:اليوم|هذه المرة|الآن)\s+(?:لا|بدون|من دون)|(?:دع|اترك|انس)\s+ال\w+|आज\s+(?:कोई\s+)?\S+\s+नहीं|छोड़ो"
)


def sets_aside(text: str) -> bool:
    """Say whether a user turn begins by putting the usual task aside."""
    head = text[:HEAD_CHARS].lower()
    return _OPENS.match(head) is not None or _FREE.search(head) is not None
