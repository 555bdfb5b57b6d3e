// Calls that a customer makes with the official SDK; prints what came back as one JSON object.
// Given: OPENAI_BASE_URL and OPENAI_API_KEY, which the SDK reads by itself.
import OpenAI from "openai";

const client = new OpenAI();
const question = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Count to three" }] };

async function errorOf(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
}

const whole = await client.chat.completions.create(question);

let streamed = "";
let streamedUsage = null;
const stream = await client.chat.completions.create({
  ...question,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  streamedUsage = chunk.usage ?? streamedUsage;
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);

const wrongKey = new OpenAI({ apiKey: "tg_wrong", maxRetries: 0 });
console.log(
  JSON.stringify({
    whole: { text: whole.choices[0].message.content, usage: whole.usage },
    streamed: { text: streamed, usage: streamedUsage },
    models,
    errors: {
      wrongKey: await errorOf(() => wrongKey.chat.completions.create(question)),
      noModel: await errorOf(() => client.chat.completions.create({ ...question, model: "no-such-model" })),
      noMessages: await errorOf(() => client.chat.completions.create({ model: "gpt-4o-mini" })),
    },
  }),
);
