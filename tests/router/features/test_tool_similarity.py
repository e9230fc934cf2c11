import numpy as np
import pytest

from router.features.hashing import words_of
from router.features.tool_similarity import MATCH_NAMES, bridge, match, read_tools, read_words, tool_words
from router.features.word_vectors import PARTS, SIZE

TOOLS = "lock_door: Lock or unlock a door\ngetWeather: Weather forecast of a city"


def compared(text: str) -> dict[str, list[float]]:
    request, tools = read_words(words_of(text), 60), read_tools(tool_words(TOOLS))
    assert request is not None and tools is not None
    return dict(zip(MATCH_NAMES, match(request, tools).T.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("will it rain in Oslo", 1),
        ("bolt the entrance", 0),
        ("какая температура в москве", 1),
        ("schließ die tür ab", 0),
        ("天气怎么样", 1),
        ("关门", 0),
    ],
)
def test_the_tool_that_means_the_same_is_nearest(text: str, tool: int) -> None:
    near = np.mean(list(compared(text).values()), axis=0)
    assert int(near.argmax()) == tool


def test_words_that_are_the_same_are_found_as_such() -> None:
    assert compared("weather")["words of name in request: same word"] == [0.0, 1.0]
    assert compared("weather")["words of request in tool: same word"] == [0.0, 1.0]


def test_each_tool_weighs_its_own_words_alone() -> None:
    tools = read_tools(tool_words(TOOLS))
    assert tools is not None and tools.starts.tolist()[0] == 0
    assert np.allclose(np.add.reduceat(tools.weight, tools.starts), 1.0)
    assert np.allclose(np.add.reduceat(tools.name_weight, tools.starts), 1.0)


def test_the_bridge_brings_english_words_near_what_they_mean_elsewhere() -> None:
    assert bridge().shape == (SIZE - PARTS[0], PARTS[0])
    words = {word: read_words([word], 1) for word in ("weather", "температура", "tür")}
    known = {word: one.vectors[0, : PARTS[0]] for word, one in words.items() if one is not None}
    assert known["weather"] @ known["температура"] > known["weather"] @ known["tür"] + 0.2


@pytest.mark.parametrize("text", ["", "\n\n", ": \n:", "xqzjv: \n", "f: x"])
def test_tools_that_say_nothing_are_no_tools(text: str) -> None:
    found = read_tools(tool_words(text))
    assert found is None or found.lines.shape[1] == SIZE
