from router.evaluation.baselines import accuracy_by_source, keywords, majority, prompt_length, random_choice
from router.features.featurize import query_from_openai
from router.training.dataset import Row


def test_rules() -> None:
    def choose(text: str) -> str:
        return keywords(query_from_openai([{"role": "user", "content": text}]))

    assert choose("fix this python script") == "coder"
    assert choose("write a poem") == "advisor"
    assert choose("who was Euler?") == "researcher"
    assert choose("zzz") == "generalist"


def test_random_is_seeded_and_majority_is_the_best_constant(rows: list[Row]) -> None:
    first, second = random_choice(["a", "b"], 5), random_choice(["a", "b"], 5)
    assert [first(row.query) for row in rows] == [second(row.query) for row in rows]
    assert majority(rows)(rows[0].query) in {"researcher", "coder", "advisor", "generalist", "tool-caller"}


def test_accuracy_is_by_source(rows: list[Row]) -> None:
    found = accuracy_by_source(prompt_length, rows)
    assert found["tools"] == 1.0 and len(found) == 9
