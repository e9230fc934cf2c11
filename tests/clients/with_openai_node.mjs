// The official OpenAI SDK for Node.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { main } from "./harness.mjs";

const { VERSION: version } = createRequire(import.meta.url)("openai/version");
const place = z.object({ city: z.string(), people: z.number() });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = { type: "function", function: { name: "get_weather", parameters } };
const flat = { type: "function", name: "get_weather", parameters, strict: false };
const oslo = { city: "Oslo", people: 1 };

const client = (url) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "mg-any", maxRetries: 0 });
const said = (content) => [{ role: "user", content }];

const checks = {
  chat: async (url) => {
    const answer = await client(url).chat.completions.create({ model: "auto", messages: said("hello") });
    assert.equal(answer.choices[0].message.content, "You said: hello");
    assert.equal(answer.usage.completion_tokens, 3);
  },
  stream: async (url) => {
    const run = client(url).chat.completions.stream({ model: "auto", messages: said("hello") });
    let text = "";
    run.on("content", (piece) => (text += piece));
    assert.equal((await run.finalChatCompletion()).choices[0].message.content, "You said: hello");
    assert.equal(text, "You said: hello");
  },
  tools: async (url) => {
    const options = { model: "auto", messages: said("weather?"), tools: [weather] };
    const [call] = (await client(url).chat.completions.create(options)).choices[0].message.tool_calls;
    assert.deepEqual(call.function, { name: "get_weather", arguments: '{"city": "Oslo"}' });
    const streamed = await client(url).chat.completions.stream(options).finalChatCompletion();
    assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, '{"city": "Oslo"}');
  },
  "empty tool result": async (url) => {
    const run = client(url).chat.completions.runTools({
      model: "auto",
      messages: said("weather?"),
      tools: [{ type: "function", function: { ...weather.function, parse: JSON.parse, function: () => "" } }],
    });
    assert.equal(await run.finalContent(), "The tool said: .");
  },
  schema: async (url) => {
    const strict = { ...weather.function, strict: true };
    for (const options of [{}, { tools: [{ type: "function", function: strict }], tool_choice: "none" }]) {
      const format = { response_format: zodResponseFormat(place, "place") };
      const answer = await client(url).chat.completions.parse({ model: "auto", messages: said("where?"), ...format, ...options });
      assert.deepEqual(answer.choices[0].message.parsed, oslo);
    }
  },
  errors: async (url) => {
    const asked = client(url).chat.completions.create({ model: "nobody", messages: said("hello") });
    await assert.rejects(asked, { status: 404, code: "model_not_found", param: "model", name: "Error" });
  },
  responses: async (url) => {
    const api = client(url).responses;
    const first = await api.create({ model: "auto", input: "hello" });
    assert.equal(first.output_text, "You said: hello");
    const again = await api.create({ model: "auto", input: "again", previous_response_id: first.id });
    assert.equal(again.output_text, "You said: again");
    const parsed = await api.parse({ model: "auto", input: "where?", text: { format: zodTextFormat(place, "place") } });
    assert.deepEqual(parsed.output_parsed, oslo);
    const streamed = await api.stream({ model: "auto", input: "weather?", tools: [flat] }).finalResponse();
    assert.equal(streamed.output[0].arguments, '{"city": "Oslo"}');
    await assert.rejects(api.cancel(first.id), { status: 400, code: "invalid_value", param: "id" });
    await api.delete(first.id);
    await assert.rejects(api.retrieve(first.id), { status: 404, code: "response_not_found" });
  },
};

await main("openai-node", version, checks);
