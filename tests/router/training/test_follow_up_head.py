from router.features.featurize import featurize_turn, query_from_openai
from router.training.dataset import Row
from router.training.follow_up_head import fit_leaning

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


def test_more_seeds_that_are_no_conversations_make_the_head_no_deafer() -> None:
    tails = ["shorter", "again please", "and in french?", "why?", "same for go", "continue", "go on", "the second one"]
    rows = [seed(["sort a list", tail], "followup") for tail in tails]
    rows += [seed(["sort a list", f"who built the great wall, part {at}"]) for at in range(4)]
    lone = ["write a poem", "fix my loop", "explain tides", "what is 12 * 8", "name a cat"]
    few = fit_leaning(rows + [seed([text]) for text in lone], seed=0)
    many = fit_leaning(rows + [seed([f"{text} {at}"]) for text in lone for at in range(100)], seed=0)
    heard = featurize_turn("a bit longer")
    assert many.leaning(heard) > 0.5
    assert many.leaning(heard) > few.leaning(heard) - 0.05
