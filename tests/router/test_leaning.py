from router.dataset import Row
from router.features import featurize_turn, query_from_openai
from router.leaning import fit_leaning

ANSWER = {"role": "assistant", "content": "ok"}


def seed(said: list[str], *tags: str) -> Row:
    messages = [message for text in said for message in ({"role": "user", "content": text}, ANSWER)]
    return Row("seed:made", query_from_openai(messages[:-1]), ("coder",), tags)


def test_follow_ups_lean_and_new_requests_do_not() -> None:
    tails = [
        "shorter",
        "again please",
        "and in french?",
        "why?",
        "same for go",
        "continue",
        "go on",
        "without the loop",
    ]
    heads = [
        "who built the great wall of china and when did they start?",
        "write a letter to my landlord about the boiler",
    ]
    rows = [seed(["sort a list", tail], "followup") for tail in tails]
    rows += [seed(["sort a list", f"{head} {at}"]) for head in heads for at in range(4)]
    head = fit_leaning(rows, seed=0)
    assert head.leaning(featurize_turn("shorter please")) > 0.5
    assert head.leaning(featurize_turn("who built the canal of corinth and when did they finish it?")) < 0.5


def test_without_conversations_nothing_leans() -> None:
    head = fit_leaning([seed(["sort a list"])], seed=0)
    assert head.leaning(featurize_turn("shorter")) < 1e-6
