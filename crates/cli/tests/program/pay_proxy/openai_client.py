"""Uses the unmodified OpenAI client as any program does; prints what it gets, line by line."""

import sys
from openai import APIStatusError, OpenAI

base_url, api_key = sys.argv[1:]
client = OpenAI(base_url=base_url, api_key=api_key)
question = {"model": "echo-1", "messages": [{"role": "user", "content": "Sag etwas."}]}

answer = client.chat.completions.create(**question)
print("answer", repr(answer.choices[0].message.content), answer.choices[0].finish_reason, flush=True)

for chunk in client.chat.completions.create(**question, stream=True):
    choice = chunk.choices[0]
    if choice.delta.content:
        print("chunk", repr(choice.delta.content), flush=True)
    if choice.finish_reason:
        print("finished", choice.finish_reason, flush=True)

for stream in (False, True):
    try:
        client.chat.completions.create(**question, stream=stream)
    except APIStatusError as error:
        print("raised", error.status_code, error.code, error.type, error, flush=True)
