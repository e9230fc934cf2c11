"""Words that refer to the turns before: "shorter", "continue", "and in French?", in a dozen languages.

Data for `sticky`, folded as it folds a turn: lower case, no punctuation at the ends of words. Bars separate phrases.
"""


def _phrases(text: str) -> frozenset[str]:
    """Read phrases parted by bars and line ends."""
    return frozenset(phrase.strip() for phrase in text.replace("\n", "|").split("|") if phrase.strip())


POLITE = _phrases("""
ok|okay|thanks|thx|ty|great|cool|nice|good|perfect|please|now|then|and|but|so|cheers|bitte|danke|merci|stp|svp
gracias|grazie|obrigado|obrigada|dank|top|super|спасибо|谢谢|好|好的|ありがとう|고마워
""")  # words that a turn may carry around its request; alone they are a turn that stays

MORE = _phrases("""
shorter|longer|simpler|clearer|better|warmer|funnier|again|continue|more|next|why|how|how so|yes|yep|no|nope
sure|go on|keep going|one more|another|another one|try again|once more|go ahead|do it|do that|do|explain
elaborate|expand|expand on that|rephrase|rewrite it|summarize|summarise|summarize it|summarise it|translate
translate it|example|examples|an example|for example|like what|such as|i don't get it|a bit shorter|much shorter
make it shorter|make it longer|make it simpler|less formal|more formal|more detail|in more detail|tell me more
any others|what else|and then|hint|a hint|más corto|más|otra vez|continúa|sigue|por qué|ejemplo|un ejemplo|otro
otra|sí|más formal|más bajito|una pista|plus court|plus|encore|encore une fois|pourquoi|exemple|un exemple
un autre|une autre|oui|la suite|un indice|kürzer|länger|nochmal|noch mal|weiter|mehr|warum|beispiel|ein beispiel
noch eins|noch einer|ja|nein|mach weiter|genauer|più corto|ancora|continua|perché|esempio|un esempio|un altro
un'altra|sì|mais curto|mais|de novo|por quê|exemplo|outro|outra|sim|korter|opnieuw|ga door|meer|waarom|voorbeeld
nog een|krócej|jeszcze raz|dalej|dlaczego|przykład|короче|ещё|еще|ещё раз|дальше|продолжай|почему|пример|да
daha kısa|tekrar|devam|devam et|neden|örnek|evet|继续|再来一个|短一点|更短|短一些|为什么|例子|举个例子|続けて
もっと短く|短く|もう一つ|もう一回|なぜ|例えば|계속|더 짧게|다시|왜|예시|하나 더|أقصر|أكمل|المزيد|لماذا|مثال
छोटा करो|फिर से|क्यों|उदाहरण
""")  # whole turns that ask for more of the same, or a change of it

LEANING = _phrases("""
and|but|or|also|without|instead|except|same|y|pero|sin|et|mais|sans|und|aber|oder|ohne|senza|mas|sem|maar|zonder
и|а|но|без|ve|peki|ale
""")  # first words of a short turn that goes on with the one before it

LEANING_WIDE = ("那", "还有", "那么", "和", "でも", "じゃあ", "では", "그럼", "그리고", "और")
"""The same where scripts do not part words, or the first word is enough."""
