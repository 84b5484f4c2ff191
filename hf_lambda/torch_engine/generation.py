"""Generation on torch: options checked by the rules of prepared models, and those that transformers lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..completion import with_answer
from ..engines import Input
from ..errors import Unprocessable
from ..grammar import Held
from ..onnx_engine.generation.asked import resolve_asked
from ..onnx_engine.generation.options import LENGTHS, Options
from ..parameters import NEW_TOKENS, generation_options
from ..records import Json
from ..structure import STRUCTURE

_SHIPPED = tuple(field.name for field in fields(Options)) + LENGTHS


def check_options(
    model: PreTrainedModel,
    asked: Mapping[str, Json],
    *,
    max_position: int | None = None,
    lengths: bool = True,
) -> None:
    """Raises BadRequest, as a prepared model does, for values that `generate` stumbles over.

    max_position: positions of the decoder. lengths: False where a prompt is counted in them.
    """
    known = {name: getattr(model.generation_config, name, None) for name in _SHIPPED if name not in asked}
    start = known.get("decoder_start_token_id") or getattr(model.config, "decoder_start_token_id", None)
    shipped = {**known, "decoder_start_token_id": start or 0}
    request = dict(asked)
    if not lengths:
        for options in (shipped, request):
            for name in ("max_length", "min_length", *LENGTHS):
                options.pop(name, None)
    resolve_asked(shipped, request, max_position=max_position, vocabulary=_vocabulary(model))


def length_options(
    model: PreTrainedModel, parameters: Mapping[str, Json], most_new: int | None
) -> dict[str, Json]:
    """`generate`'s options of a call of an encoder-decoder, whose answer never ends unbounded.

    most_new: positions of the decoder. Raises BadRequest.
    """
    options = generation_options(parameters)
    options.pop("seed", None)
    shipped = model.generation_config
    if "max_length" in options and "max_new_tokens" not in options:
        options["max_new_tokens"] = None  # else the model's own would win over the caller's max_length
    elif "max_new_tokens" not in options and shipped.max_length is shipped.max_new_tokens is None:
        options["max_new_tokens"] = min(NEW_TOKENS, most_new or NEW_TOKENS)
    check_options(model, options, max_position=most_new)
    return options


def check_prompt(prompt: int, asked: Mapping[str, Json], most: int | None) -> None:
    """Raises Unprocessable where `max_length`, which counts the prompt's tokens, leaves no room."""
    given = asked.get("max_length")
    if given is None or asked.get("max_new_tokens") is not None:
        return
    if given <= prompt:
        raise Unprocessable(
            "max_length", f"the prompt has {prompt} tokens, which `max_length` counts too: ask for more"
        )
    if most is not None and given > most:
        raise Unprocessable("max_length", f"the model holds {most} tokens with the prompt: ask for fewer")


def pipeline_options(
    chosen: Mapping[str, Json],
    tokenizer: PreTrainedTokenizerBase,
    held: Held | None = None,
    eos: Sequence[int] = (),
) -> dict[str, Json]:
    """A call's parameters in the words of transformers' TextGenerationPipeline.

    held: to a structure; a text of it ends with one of `eos`.
    """
    asked = {name: value for name, value in chosen.items() if value is not None and name not in STRUCTURE}
    stop, endings = texts(asked.pop("stop", ())), texts(asked.pop("stop_sequence", ()))
    if stop or endings:
        asked["stopping_criteria"] = transformers.StoppingCriteriaList([_Stops(tokenizer, [*stop, *endings])])
    if stop:
        asked["return_full_text"] = False  # the prompt may hold the stop text as well
    frequency, presence = asked.pop("frequency_penalty", 0.0), asked.pop("presence_penalty", 0.0)
    processors: list[transformers.LogitsProcessor] = []
    if frequency or presence:
        processors.append(_Penalties(frequency, presence))
    if held is not None:
        processors.append(_Structured(held, eos))
    if processors:
        asked["logits_processor"] = transformers.LogitsProcessorList(processors)
    if variables := asked.pop("chat_template_kwargs", None):
        asked["tokenizer_encode_kwargs"] = dict(variables)
    return asked


def without_stop(
    item: Input, records: list[dict[str, Json]], chosen: Mapping[str, Json]
) -> list[dict[str, Json]]:
    """`records` of one prompt, each cut before the first stop text, with the prompt where it is wanted."""
    stop = texts(chosen.get("stop") or ())
    if not stop:
        return records
    full = chosen.get("return_full_text", True)
    made = []
    for record in records:
        text = str(record["generated_text"])
        text = text[: min((at for each in stop if (at := text.find(each)) >= 0), default=len(text))]
        made.append({**record, "generated_text": with_answer(item, text) if full else text})
    return made


def texts(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def options_of(parameters: Mapping[str, Json]) -> dict[str, Json]:
    """What `check_options` takes of a call's parameters."""
    names = ("sequence_bias",)
    more = {name: parameters[name] for name in names if parameters.get(name) is not None}
    return {**generation_options(parameters), **more}


def _vocabulary(model: PreTrainedModel) -> int | None:
    head = model.get_output_embeddings()
    size = getattr(head, "out_features", None) or getattr(model.config.get_text_config(), "vocab_size", None)
    return int(size) if size else None


class _Stops(transformers.StoppingCriteria):  # type: ignore[misc]
    """Ends a text whose new part holds one of `texts`; transformers' own way fails for some vocabularies."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> None:
        self._tokenizer, self._texts = tokenizer, texts
        self._prompt: int | None = None

    def __call__(self, ids: torch.Tensor, scores: object, **options: Json) -> torch.Tensor:
        if self._prompt is None:
            self._prompt = ids.shape[1] - 1  # asked for the first time after the first token
        made = self._tokenizer.batch_decode(ids[:, self._prompt :], skip_special_tokens=True)
        return torch.tensor([any(text in one for text in self._texts) for one in made], device=ids.device)


class _Penalties(transformers.LogitsProcessor):  # type: ignore[misc]
    """Takes from a token's score for having been generated, as OpenAI's API does."""

    def __init__(self, frequency: float, presence: float) -> None:
        self._frequency, self._presence = frequency, presence
        self._prompt: int | None = None

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._prompt is None:
            self._prompt = ids.shape[1]
        written = ids[:, self._prompt :]
        counts = torch.zeros_like(scores).scatter_add_(
            1, written, torch.ones_like(written, dtype=scores.dtype)
        )
        return scores - self._frequency * counts - self._presence * (counts > 0)


class _Structured(transformers.LogitsProcessor):  # type: ignore[misc]
    """Holds the text of each row to a structure."""

    def __init__(self, held: Held, eos: Sequence[int]) -> None:
        self._first, self._eos = held, frozenset(eos)
        self._rows: list[Held | None] = []

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not self._rows:
            self._rows = [self._first.again() for _ in range(len(scores))]
        else:
            self._rows = [*map(self._after, self._rows, ids[:, -1].tolist())]
        values = scores.float().numpy().copy()
        for held, row in zip(self._rows, values, strict=True):
            if held is not None:
                held.restrict(row)
        return torch.from_numpy(values).to(scores.dtype)

    def _after(self, held: Held | None, token: int) -> Held | None:
        """None: the text has ended."""
        if held is None or token in self._eos:
            return None
        held.take(token)
        return held
