"""Chat, for any client of OpenAI's API."""

from hf_lambda import openai, pipeline

# engine="onnx": the warm-up prepares this commit, so the small image without torch is enough.
generate = pipeline(
    "text-generation",
    model="HuggingFaceTB/SmolLM2-360M-Instruct",
    revision="0123456789abcdef0123456789abcdef01234567",
    engine="onnx",
    max_context=2048,
)
handler = openai(generate)

EXAMPLE = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
