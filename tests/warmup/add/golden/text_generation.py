"""Goes on with a text, piece by piece where the request asks for a stream."""

from collections.abc import Iterator

from hf_lambda import endpoint, pipeline

# Served by torch, from the full image: models of this kind are not prepared.
generate = pipeline(
    "text-generation",
    model="org/gpt2",
    revision="0123456789abcdef0123456789abcdef01234567",
)

EXAMPLE = {"prompt": "Once upon a time"}


@endpoint
def handler(
    prompt: str,
    max_new_tokens: int = 100,
    temperature: float | None = None,
) -> Iterator[str]:
    yield from generate.stream(prompt, max_new_tokens=max_new_tokens, temperature=temperature)
