"""Talk to a small language model with any client of OpenAI's API; answers come word by word.

client = openai.OpenAI(base_url="<the endpoint's address>/v1", api_key="none")
client.chat.completions.create(model="HuggingFaceTB/SmolLM2-360M-Instruct", messages=[...], stream=True)
"""

from hf_lambda import openai, pipeline

generate = pipeline(
    "text-generation",
    model="HuggingFaceTB/SmolLM2-360M-Instruct",
    engine="onnx",  # the small image, without torch
    max_context=2048,  # tokens of prompt and answer together
)
handler = openai(generate)

EXAMPLE = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
