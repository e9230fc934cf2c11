import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from router.features.conversation import Turn, thread_of
from router.features.tool_fit import FIT_NAMES, fit_features

TOOLS = "book_table: Reserve a table in a restaurant\ngetWeather: Weather forecast of a city"
ALONE = thread_of([Turn("user", "x")])


def named(text: str) -> dict[str, float]:
    return dict(zip(FIT_NAMES, fit_features(text, TOOLS, ALONE, 0.0).tolist(), strict=True))


def test_words_in_common_count_across_name_styles() -> None:
    fitting, other = named("will the weather in the city hold?"), named("who painted the ceiling?")
    assert fitting["best tool: words in common"] > other["best tool: words in common"]
    assert fitting["best tool name: share of it in the request"] == 1.0
    assert other["no overlap at all"] == 1.0 and fitting["no overlap at all"] == 0.0


@given(st.text(max_size=500), st.text(max_size=500))
def test_any_text_gives_finite_numbers(text: str, tools: str) -> None:
    found = fit_features(text, tools, ALONE, 0.5)
    assert found.shape == (len(FIT_NAMES),) and np.isfinite(found).all()
    assert (np.abs(found) <= 1).all()
