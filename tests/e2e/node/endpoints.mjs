// Calls of other endpoints than chat that a customer makes with the official SDK; prints what came back as one object.
// Given: OPENAI_BASE_URL and OPENAI_API_KEY, which the SDK reads by itself.
import OpenAI from "openai";

const client = new OpenAI();

const embedded = await client.embeddings.create({ model: "text-embedding-3-small", input: "river", dimensions: 8 });

let deltas = "";
let response = null;
const stream = await client.responses.create({ model: "gpt-4.1", input: "Count to three", stream: true });
for await (const event of stream) {
  if (event.type === "response.output_text.delta") deltas += event.delta;
  if (event.type === "response.completed") response = event.response;
}

const called = await client.chat.completions.create({
  model: "claude-sonnet-5-5",
  messages: [{ role: "user", content: "Look" }],
  tools: [
    {
      type: "function",
      function: { name: "look", parameters: { type: "object", properties: { where: { type: "string" } } } },
    },
  ],
  tool_choice: "required",
});
const { name, arguments: given } = called.choices[0].message.tool_calls[0].function;

console.log(
  JSON.stringify({
    embedding: { length: embedded.data[0].embedding.length, tokens: embedded.usage.total_tokens },
    response: { text: response.output[0].content[0].text, deltas, tokens: response.usage.total_tokens },
    tool: { name, arguments: given },
  }),
);
