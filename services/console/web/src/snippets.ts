// Code examples to copy.

export function curlSnippet(apiUrl: string, key: string, model = "gpt-4o-mini"): string {
  return `curl ${apiUrl}/chat/completions \\
  -H 'Authorization: Bearer ${key}' \\
  -H 'Content-Type: application/json' \\
  -d '{"model": "${model}", "messages": [{"role": "user", "content": "Say hello"}]}'`;
}

export function pythonSnippet(apiUrl: string, key: string, model = "gpt-4o-mini"): string {
  return `from openai import OpenAI

client = OpenAI(base_url="${apiUrl}", api_key="${key}")
answer = client.chat.completions.create(
    model="${model}", messages=[{"role": "user", "content": "Say hello"}]
)
print(answer.choices[0].message.content)`;
}

export function nodeSnippet(apiUrl: string, key: string, model = "gpt-4o-mini"): string {
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: "${apiUrl}", apiKey: "${key}" });
const answer = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Say hello" }],
});
console.log(answer.choices[0].message.content);`;
}
