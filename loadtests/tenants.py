"""Tenants of the made-up company (`loadtests.company`): they ask, correct what they get, and count what happens."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from itertools import count
from typing import Final

import httpx2

from loadtests.company import Report, reports

EXPERT: Final = "generalist"


class Tenants:
    """People who ask, one after the other in each of a few lines, and never stop.

    Attributes:
        outcomes: how many requests ended with which status; 0 = no answer.
        by: how many answers each expert has given.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=300)
        self.outcomes: Counter[int] = Counter()
        self.by: Counter[str] = Counter()

    async def ask(self, report: Report, *, model: str = EXPERT) -> tuple[str, str]:
        """Ask; the answer's id and words, empty where there is none."""
        body = {
            "model": model,
            "user": report.user,
            "max_tokens": 48,
            "messages": [{"role": "user", "content": report.words}],
        }
        try:
            answer = await self._http.post("/v1/chat/completions", json=body)
        except httpx2.HTTPError:
            self.outcomes[0] += 1
            return "", ""
        self.outcomes[answer.status_code] += 1
        if answer.status_code != 200:
            return "", ""
        content = answer.json()
        self.by[content["model"]] += 1
        return content["id"], content["choices"][0]["message"]["content"] or ""

    async def correct(self, report: Report) -> str:
        """Ask, and say what it should have been."""
        name, words = await self.ask(report, model="auto")
        if name:
            rating = 1 if words.split() == report.correction.split() else -1
            said = {"response_id": name, "rating": rating, "correction": report.correction}
            (await self._http.post("/v1/feedback", json=said)).raise_for_status()
        return words

    async def all(self, made: list[Report], lines: int) -> list[str]:
        """Ask everything, a few at once; the answers in order."""
        answers, waiting = [""] * len(made), iter(enumerate(made))

        async def line() -> None:
            for at, report in waiting:
                answers[at] = (await self.ask(report))[1]

        await asyncio.gather(*(line() for _ in range(lines)))
        return answers

    async def correct_all(
        self, made: list[Report], lines: int, done: Collection[int], note: Callable[[int], None]
    ) -> None:
        """Ask and correct everything that is not done, a few at once; `note` hears of each that is."""
        waiting = iter([(at, report) for at, report in enumerate(made) if at not in done])

        async def line() -> None:
            for at, report in waiting:
                await self.correct(report)
                note(at)

        await asyncio.gather(*(line() for _ in range(lines)))

    @property
    def failed(self) -> int:
        """How many requests had another end than an answer."""
        return sum(number for status, number in self.outcomes.items() if status != 200)

    @asynccontextmanager
    async def going_on(self, lines: int, seed: int) -> AsyncIterator[None]:
        """Ask for as long as something else lasts."""
        going = asyncio.create_task(self.go_on(lines, seed))
        try:
            yield
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def go_on(self, lines: int, seed: int) -> None:
        """Ask until cancelled, as the router decides whom: the model is not named."""
        numbers = count(seed)

        async def line() -> None:
            while True:
                number = next(numbers)
                [report] = reports(1, 1, number)
                await self.ask(report, model="auto")

        await asyncio.gather(*(line() for _ in range(lines)))

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()
