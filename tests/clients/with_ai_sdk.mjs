// Vercel's AI SDK: its OpenAI provider speaks the Responses API, its Anthropic provider Messages.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { main } from "./harness.mjs";

const { version } = createRequire(import.meta.url)("ai/package.json");
const place = z.object({ city: z.string(), people: z.number() });
const weather = tool({ description: "The weather", inputSchema: z.object({ city: z.string() }), execute: async () => "" });

/** The models of both providers: every check is made with each. */
function models(url) {
  const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "mg-any" });
  const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: "mg-any" });
  return [openai("auto"), openai.chat("auto"), anthropic("auto")];
}

async function withEach(url, check) {
  for (const model of models(url)) await check({ model, maxRetries: 0, maxOutputTokens: 64 });
}

const checks = {
  chat: (url) =>
    withEach(url, async (options) => {
      const answer = await generateText({ ...options, system: "Be brief.", prompt: "hello" });
      assert.equal(answer.text, "You said: hello");
      assert.equal(answer.usage.outputTokens, 3);
    }),
  stream: (url) =>
    withEach(url, async (options) => {
      let text = "";
      for await (const piece of streamText({ ...options, prompt: "hello" }).textStream) text += piece;
      assert.equal(text, "You said: hello");
    }),
  tools: (url) =>
    withEach(url, async (options) => {
      const answer = await generateText({ ...options, prompt: "weather?", tools: { weather } });
      assert.deepEqual(answer.toolCalls.map((call) => [call.toolName, call.input]), [["weather", { city: "Oslo" }]]);
    }),
  "empty tool result": (url) =>
    withEach(url, async (options) => {
      const steps = { stopWhen: stepCountIs(2), prompt: "weather?", tools: { weather } };
      assert.equal((await generateText({ ...options, ...steps })).text, "The tool said: .");
      let text = "";
      for await (const piece of streamText({ ...options, ...steps }).textStream) text += piece;
      assert.equal(text, "The tool said: .");
    }),
  schema: (url) =>
    withEach(url, async (options) => {
      const answer = await generateText({ ...options, prompt: "where?", output: Output.object({ schema: place }) });
      assert.deepEqual(answer.output, { city: "Oslo", people: 1 });
    }),
  errors: async (url) => {
    const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "mg-any" });
    await assert.rejects(generateText({ model: openai("nobody"), prompt: "hello", maxRetries: 0 }), { statusCode: 404 });
  },
  responses: async (url) => {
    const [model] = models(url);
    const first = await generateText({ model, prompt: "hello" });
    const previousResponseId = first.providerMetadata.openai.responseId;
    const second = await generateText({ model, prompt: "again", providerOptions: { openai: { previousResponseId } } });
    assert.equal(second.text, "You said: again");
    const turns = [{ role: "user", content: "hello" }, ...first.response.messages, { role: "user", content: "more" }];
    assert.equal((await generateText({ model, messages: turns })).text, "You said: more"); // by an item_reference
  },
};

await main("ai-sdk", version, checks);
