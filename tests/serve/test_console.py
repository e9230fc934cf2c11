"""The console in a real Chromium: a prompt goes out, tokens come, and who, why, bars and cost are seen."""

import asyncio
import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from deploy.observe.traffic import drive
from protos import encoder_pb2
from serve.app import App
from tests.browser import needs_browser, until
from tests.fakes.expert_server import FakeExperts

GUARD = Path(__file__).parents[2] / "deploy" / "guard.yaml"
AXE = Path(__file__).parents[1] / "clients" / "node_modules" / "axe-core" / "axe.min.js"
IMAGES = os.environ.get("MOEGATE_SCREENSHOTS")  # a folder to write docs/images anew


async def test_the_page_is_one_small_answer_without_outside_addresses(http: httpx2.AsyncClient) -> None:
    response = await http.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert len(response.content) <= 200_000
    assert re.findall(r"(?:https?:)?//[\w.]+", response.text.replace("http://www.w3.org/2000/svg", "")) == []
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src-attr")[0]


async def test_the_ranking_rides_in_a_header(http: httpx2.AsyncClient, experts: FakeExperts) -> None:
    body = {"messages": [{"role": "user", "content": "Fix this Python function: def f(x) return x"}]}
    response = await http.post("/v1/chat/completions", json=body)
    ranking = [pair.split("=") for pair in response.headers["x-moegate-ranking"].split(",")]
    assert ranking[0][0] == response.headers["x-moegate-expert"]
    assert {name for name, _ in ranking} == set(experts.scripts)
    assert all(0 <= float(probability) <= 1 for _, probability in ranking)


@pytest.fixture
def overrides(tmp_path: Path) -> dict[str, Any]:
    return {"feedback": {"path": str(tmp_path / "feedback.sqlite3")}}


async def open_page(browser: Any, app: App, **options: Any) -> tuple[Any, list[str]]:
    page = await browser.new_page(**options)
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(f"http://{app.http_address}/")
    return page, complaints


EVERYBODY = "document.querySelectorAll('#model option').length === 6"
DONE = "document.getElementById('told').textContent === 'the answer is complete'"


def said(experts: FakeExperts, *words: str, gap_s: float = 0.0) -> None:
    """Let every expert say this."""
    for script in experts.scripts.values():
        script.words, script.gap_s = list(words), gap_s


async def checked(page: Any) -> list[str]:
    """What axe finds wrong with the page as it stands, where axe-core is there (`tests/clients/package.json`)."""
    if not AXE.exists():
        return []
    # The page's policy forbids strangers' scripts, and a session of the debugger is none.
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": AXE.read_text() + ";0"})
    run = "axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target).join(' ')).join('; '))"
    told = await session.send("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
    assert "exceptionDetails" not in told, told
    found = told["result"]["value"]
    return [found] if found else []


@needs_browser
@pytest.mark.slow
async def test_a_prompt_by_keyboard_alone(browser: Any, app: App, experts: FakeExperts) -> None:
    said(experts, "Here ", "it ", "is: <b>\n\n", "```python\n", "text[::-1]\n```", gap_s=0.02)
    page, complaints = await open_page(browser, app, viewport={"width": 1180, "height": 960}, color_scheme="light")
    await until(page, EVERYBODY)
    assert await page.evaluate("document.activeElement.id") == "prompt"
    await page.keyboard.type("Write a Python function that reverses a string.")
    await page.keyboard.press("Control+Enter")
    await until(page, DONE)
    reply = page.locator(".reply")
    assert await reply.locator(".said p").text_content() == "Here it is: <b>"  # text, never markup
    assert await reply.locator(".said pre code").text_content() == "text[::-1]"
    assert await reply.locator("h2").first.text_content() in experts.scripts
    assert await reply.locator(".bar").count() == 5
    facts = await page.locator(".reply > .soft").nth(1).text_content()
    assert re.match(r"7 tokens read, 5 written · first token after .* · cost \$", facts), facts
    await page.click(".rate[data-rating='1']")
    await until(page, "document.querySelector('.reply .row span').textContent === 'noted, thank you'")
    pressed = await page.evaluate("[...document.querySelectorAll('.rate')].map(b => b.ariaPressed).join()")
    assert pressed == "true,false"
    assert await page.evaluate("document.activeElement.className") == "rate"
    assert await checked(page) == []
    if IMAGES:
        await page.screenshot(path=f"{IMAGES}/console.png", full_page=True)
    assert complaints == []


@needs_browser
@pytest.mark.slow
async def test_a_conversation_with_everything(browser: Any, app: App, experts: FakeExperts) -> None:
    page, complaints = await open_page(browser, app)
    await until(page, EVERYBODY)
    said(experts, '<tool_call>{"name": "get_weather", ', '"arguments": {"city": "Bern"}}</tool_call>')
    await page.click("text=Example for tool-caller")
    assert "get_weather" in await page.input_value("#tools")
    await page.fill("#system", "Be brief.")
    await page.fill("#documents", "Mars is red.\n---\nBern is in Switzerland.")
    await page.select_option("#model", "tool-caller")
    await page.click("#send")
    await until(page, DONE)
    assert 'get_weather({"city": "Bern"})' in await page.text_content(".reply .said")
    heard = experts["tool-caller"].requests[-1].conversation
    assert [message.content for message in heard.messages] == ["Be brief.", "What is the weather in Bern?"]
    assert [document.text for document in heard.documents] == ["Mars is red.", "Bern is in Switzerland."]
    said(experts, "Sunny.")
    await page.fill("textarea[id^=result-]", "18 degrees")
    await page.click("text=Send the results")
    await until(page, "document.querySelectorAll('.turn').length === 2 && " + DONE)
    heard = experts["tool-caller"].requests[-1].conversation
    assert [message.content for message in heard.messages][-1] == "18 degrees"
    assert heard.messages[-2].tool_calls[0].id == heard.messages[-1].tool_call_id
    await page.fill("#tools", "[")
    await page.fill("#prompt", "And now?")
    await page.click("#send")
    await until(page, "document.getElementById('told').textContent === 'The list of tools is not JSON'")
    await page.click("#fresh")
    assert await page.locator(".turn").count() == 0
    assert complaints == []


@needs_browser
@pytest.mark.slow
async def test_two_experts_side_by_side_and_each_goes_on_from_its_own(
    browser: Any, app: App, experts: FakeExperts
) -> None:
    page, _ = await open_page(browser, app, viewport={"width": 1180, "height": 900})
    await until(page, EVERYBODY)
    experts["coder"].words, experts["advisor"].words = ["From the coder."], ["From the advisor."]
    await page.select_option("#model", "coder")
    await page.select_option("#second", "advisor")
    for number, prompt in enumerate(("Hello", "Go on"), 1):
        await page.fill("#prompt", prompt)
        await page.click("#send")
        await until(page, f"document.querySelectorAll('.turn').length === {number} && " + DONE)
    assert await page.locator(".turn").nth(1).locator(".reply").count() == 2
    for name in ("coder", "advisor"):
        heard = [message.content for message in experts[name].requests[-1].conversation.messages]
        assert heard == ["Hello", f"From the {name}.", "Go on"]
    boxes = [await page.locator(".turn .reply").nth(n).bounding_box() for n in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]


@needs_browser
@pytest.mark.slow
async def test_the_request_as_code_is_the_request(browser: Any, app: App, experts: FakeExperts) -> None:
    page, _ = await open_page(browser, app)
    await until(page, EVERYBODY)
    await page.fill("#prompt", 'It\'s "quoted"\nand long')
    await page.select_option("#model", "coder")
    await page.click("#code summary")
    shell = await page.text_content("#snippet")
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_shell(shell, stdout=pipe, stderr=nothing)
    output, _ = await process.communicate()
    assert b"data: [DONE]" in output
    assert experts["coder"].requests[-1].conversation.messages[0].content == 'It\'s "quoted"\nand long'
    await page.click("#as-python")
    await page.click("text=Example for researcher")
    await page.select_option("#model", "coder")
    script = await page.text_content("#snippet")
    compile(script, "snippet", "exec")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=pipe)
    output, _ = await process.communicate()
    assert output.decode() == "Hello there!\n"
    assert len(experts["coder"].requests[-1].conversation.documents) == 2


@needs_browser
@pytest.mark.slow
async def test_on_a_phone_in_the_dark(browser: Any, app: App) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}
    page, complaints = await open_page(browser, app, **options)
    await until(page, EVERYBODY)
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    for name in ("operate", "guard", "ask"):
        await page.click(f"#tab-{name}")
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        small = "[...document.querySelectorAll('button')].filter(b => b.offsetHeight && b.offsetHeight < 44).length"
        assert await page.evaluate(small) == 0
        assert await checked(page) == []
    await page.click("#send")
    assert await page.is_hidden("#talk")  # nothing is sent without a prompt
    await page.screenshot(path=f"{IMAGES}/console-phone.png", full_page=True) if IMAGES else None
    assert complaints == []


@needs_browser
@pytest.mark.slow
async def test_errors_and_a_stop(browser: Any, app: App, experts: FakeExperts) -> None:
    page, _ = await open_page(browser, app)
    await until(page, EVERYBODY)
    experts["coder"].is_down = True
    await page.select_option("#model", "coder")
    await page.fill("#prompt", "hello")
    await page.click("#send")
    await page.wait_for_selector(".said .error")
    assert "cannot be reached" in await page.text_content(".said .error")
    experts["advisor"].words, experts["advisor"].gap_s = ["x"] * 1000, 0.02
    await page.select_option("#model", "advisor")
    await page.fill("#prompt", "hello")
    await page.click("#send")
    await until(page, "document.querySelectorAll('.turn')[1]?.querySelector('.said').textContent.startsWith('xx')")
    await page.keyboard.press("Escape")
    await until(page, "!document.getElementById('send').disabled")
    assert await page.evaluate("document.activeElement.id") == "prompt"
    await page.wait_for_timeout(300)
    assert (experts["advisor"].live, experts["advisor"].cancelled) == (0, 1)


@needs_browser
@pytest.mark.slow
async def test_first_paint(browser: Any, app: App) -> None:
    page, _ = await open_page(browser, app)
    await until(page, "performance.getEntriesByName('first-contentful-paint').length")
    paints = []
    for _ in range(5):
        await page.reload()
        await until(page, "performance.getEntriesByName('first-contentful-paint').length")
        paints.append(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    print(f"first paint, ms: {sorted(round(paint) for paint in paints)}")
    assert min(paints) <= 300


@needs_browser
@pytest.mark.slow
async def test_operate_tells_what_happens(browser: Any, app: App, experts: FakeExperts) -> None:
    page, complaints = await open_page(browser, app, viewport={"width": 1180, "height": 1400}, color_scheme="light")
    await page.click("#tab-operate")
    await until(page, "document.querySelectorAll('#experts tbody tr').length === 5")
    if IMAGES:
        await asyncio.to_thread(drive, f"http://{app.http_address}", 24.0)
    async with httpx2.AsyncClient(base_url=f"http://{app.http_address}") as client:
        for _ in range(4):
            body = {"model": "coder", "messages": [{"role": "user", "content": "hi"}]}
            await client.post("/v1/chat/completions", json=body, headers={"x-request-id": "one-of-mine"})
    await until(page, "document.getElementById('recent').textContent.includes('one-of-mine')")
    coder = await page.locator("#experts tbody tr", has_text="coder").locator("td").all_text_contents()
    assert (coder[1], int(coder[4]) >= 4) == ("answers", True)
    assert coder[6] != "no answers"
    assert await page.locator("#tiles svg").count() == 4
    assert await page.is_hidden("#keys-card")  # this gateway has none
    assert "Less than if all had gone to generalist" in (await page.text_content("#money")).replace("More", "Less")
    await page.select_option("#range", "60")
    assert await checked(page) == []
    if IMAGES:
        await page.screenshot(path=f"{IMAGES}/console-operate.png", full_page=True)
    assert complaints == []


SECRET = "mg-console-operator"
KEYED = {"access": {"keys": [{"name": "ops", "sha256": hashlib.sha256(SECRET.encode()).hexdigest(), "operator": True}]}}


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("overrides", [KEYED])
async def test_a_key_brings_the_experts_and_survives_a_reload(browser: Any, app: App) -> None:
    page, _ = await open_page(browser, app)
    await until(page, "document.getElementById('status').textContent === 'this gateway asks for an API key'")
    await page.fill("#key", SECRET)
    await page.keyboard.press("Tab")
    await until(page, EVERYBODY)
    await page.reload()
    await until(page, EVERYBODY)
    await page.click("#tab-operate")
    await until(page, "document.querySelectorAll('#keys tbody tr').length === 1")


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("overrides", [{"guard": {"rules": str(GUARD)}}])
async def test_the_guard_says_which_rule_and_why(browser: Any, app: App) -> None:
    page, complaints = await open_page(browser, app)
    await page.click("#tab-guard")
    await page.fill("#guard-text", "My card is 4111 1111 1111 1111 <b>")
    await page.click("#guard-look")
    await until(page, "document.getElementById('guard-verdict').textContent.startsWith('monitor, in ')")
    cells = await page.locator("#guard-hits tbody td").all_text_contents()
    assert cells == ["personal-data", "monitor", "CARD", "personal_data", "11–30"]
    await page.select_option("#guard-stage", "documents")
    await page.click("#guard-look")
    await until(page, "document.getElementById('guard-verdict').textContent.startsWith('pass, in ')")
    assert not await page.is_visible("#guard-hits")
    assert complaints == []


SEARCHING: dict[str, Any] = {"encoder": {"enabled": True}, "retrieval": {"enabled": True}}
PASSAGES = [
    encoder_pb2.Passage(file="docs/cats.md", title="Cats", place="lines 3-9", text="Cats sleep 15 hours a day."),
    encoder_pb2.Passage(file="docs/dogs.md", title="Dogs", place="page 2", text="Dogs sleep 12 hours.<b>"),
]


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("overrides", [SEARCHING])
async def test_a_collection_s_passages_stand_beside_the_answer_and_citations_lead_to_them(
    browser: Any, app: App, experts: FakeExperts
) -> None:
    experts.encoder.collections = [encoder_pb2.Collection(name="pets", files=2, passages=2, encoder="e")]
    experts.encoder.passages = list(PASSAGES)
    said(experts, "A dog sleeps 12 hours", " [3]", ", a cat 15", " [2]", ".")
    page, complaints = await open_page(browser, app, viewport={"width": 1180, "height": 900}, color_scheme="light")
    await until(page, f"{EVERYBODY} && !document.getElementById('collections').hidden")
    options = await page.locator("#collection option").all_text_contents()
    assert options == ["what the expert knows", "pets (2 passages)"]
    await page.select_option("#collection", "pets")
    await page.select_option("#model", "researcher")
    await page.click("#more summary")
    await page.fill("#documents", "Fish do not sleep.")
    await page.click("#more summary")
    await page.fill("#prompt", "How long do a dog and a cat sleep?")
    await page.click("#send")
    await until(page, DONE)
    assert experts.encoder.searches[-1].question == "How long do a dog and a cat sleep?"
    assert await page.locator(".passages li").evaluate_all("all => all.map(one => one.id)") == [
        "passage-1-2",
        "passage-1-3",
    ]
    told = await page.locator(".passages li").first.text_content()
    assert told == "[2] docs/cats.md, lines 3-9CatsCats sleep 15 hours a day."
    assert "Dogs sleep 12 hours.<b>" in await page.locator(".passages li").nth(1).text_content()
    links = page.locator(".said a")
    assert await links.evaluate_all("all => all.map(one => one.getAttribute('href'))") == [
        "#passage-1-3",
        "#passage-1-2",
    ]
    assert await page.text_content(".said p") == "A dog sleeps 12 hours [3], a cat 15 [2]."
    await links.first.click()
    assert await page.evaluate("document.querySelector('.passages li:target').id") == "passage-1-3"
    boxes = [await page.locator(f".reply > {one}").bounding_box() for one in (".said", ".passages")]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    assert await checked(page) == []
    await page.click(".rate[data-rating='1']")
    await until(page, "document.querySelector('.reply .row span').textContent === 'noted, thank you'")
    if IMAGES:
        await page.screenshot(path=f"{IMAGES}/console-passages.png", full_page=True)
    assert complaints == []


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("overrides", [SEARCHING])
async def test_a_search_that_finds_nothing_or_fails_is_told_and_calls_come_through(
    browser: Any, app: App, experts: FakeExperts
) -> None:
    experts.encoder.collections = [encoder_pb2.Collection(name="pets", files=2, passages=2, encoder="e")]
    page, complaints = await open_page(browser, app)
    await until(page, f"{EVERYBODY} && !document.getElementById('collections').hidden")
    await page.select_option("#collection", "pets")
    await page.click("text=Example for tool-caller")
    await page.select_option("#model", "tool-caller")
    said(experts, '<tool_call>{"name": "get_weather", ', '"arguments": {"city": "Bern"}}</tool_call>')
    await page.click("#send")
    await until(page, DONE)
    assert "Nothing was found" in await page.text_content(".passages")
    assert 'get_weather({"city": "Bern"})' in await page.text_content(".said")
    experts.encoder.refuse = (grpc.StatusCode.UNAVAILABLE, "store_failed: away")
    said(experts, "Sunny.")
    await page.fill("textarea[id^=result-]", "18 degrees")
    await page.click("text=Send the results")
    await until(page, "document.querySelectorAll('.turn').length === 2 && " + DONE)
    assert "The search failed" in await page.locator(".passages").nth(1).text_content()
    heard = experts["tool-caller"].requests[-1].conversation.messages
    assert [message.content for message in heard][-1] == "18 degrees"
    assert heard[-2].tool_calls[0].id == heard[-1].tool_call_id
    assert complaints == []


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("overrides", [SEARCHING])
async def test_a_search_as_code_is_the_search(browser: Any, app: App, experts: FakeExperts) -> None:
    experts.encoder.collections = [encoder_pb2.Collection(name="pets", files=2, passages=2, encoder="e")]
    experts.encoder.passages = list(PASSAGES)
    page, _ = await open_page(browser, app)
    await until(page, f"{EVERYBODY} && !document.getElementById('collections').hidden")
    await page.select_option("#collection", "pets")
    await page.click("text=Example for researcher")
    await page.select_option("#model", "coder")
    await page.click("#code summary")
    await page.click("#as-python")
    script = await page.text_content("#snippet")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.decode() == "Hello there!\n"
    assert len(experts["coder"].requests[-1].conversation.documents) == 4
    assert list(experts.encoder.searches[-1].collections) == ["pets"]
