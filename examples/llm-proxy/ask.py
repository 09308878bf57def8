"""Asks a model by OpenAI's client, which knows nothing of payments: only the base URL is another."""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:4021/v1", api_key="none is needed")
question = {
    "model": "small",
    "messages": [{"role": "user", "content": "What does a snail carry?"}],
}

answer = client.chat.completions.create(**question)
print(answer.choices[0].message.content, f"({answer.usage.total_tokens} tokens)")

# A stream that tells its usage at its end, so that it costs what was used.
stream = client.chat.completions.create(**question, stream=True, stream_options={"include_usage": True})
for chunk in stream:
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
    if chunk.usage:
        print(f" ({chunk.usage.total_tokens} tokens)")
