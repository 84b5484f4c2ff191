"""The tasks that transformers' own pipelines have, run as padded batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from copy import copy
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from ..completion import Completion, Generated, together
from ..engines import Input
from ..errors import BadRequest, Unprocessable, cannot_cut, no_entailment, shortened
from ..events import jsonable
from ..grammar import Grammars, Held
from ..inputs import joined_parts
from ..limits import check_candidates, check_windows, run_batches, window_overlap
from ..log import note_truncated
from ..onnx_engine.decoder.text import Text
from ..parameters import NEW_TOKENS, parameters_of, truncates
from ..records import Json
from ..structure import Structure, structure_of
from ..tasks import AUTO_CLASSES, canonical, head_of
from .generation import check_options, check_prompt, options_of, pipeline_options, texts, without_stop
from .loading import (
    MAX_PADDED_TOKENS,
    NO_LIMIT,
    check_length,
    heads_of,
    in_time,
    load_model,
    load_tokenizer,
    max_length,
    max_position,
)
from .streaming import tokens_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CANDIDATES = 5
"""Of fill-mask, where the request does not say."""
_TRUNCATES = ("zero-shot-classification", "token-classification")
"""Tasks whose pipelines cut to the tokenizer's maximum by themselves."""

_OF_THE_PROMPT = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0}
"""What looks at the prompt's tokens as well, and the value that does nothing."""


class TransformersPipeline:
    """One of transformers' pipelines."""

    def __init__(self, task: str, snapshot: Path) -> None:
        self._task = canonical(task)
        auto_class = getattr(transformers, AUTO_CLASSES[head_of(task)])
        # Decoders are large, and the only ones that a vCPU runs well in the bfloat16 they come in.
        dtype = {"dtype": "auto"} if self._task == "text-generation" else {}
        self._model, self._tokenizer = load_model(auto_class, snapshot, **dtype), load_tokenizer(snapshot)
        if self._task == "zero-shot-classification" and (error := no_entailment(self._model.config.label2id)):
            raise error
        if self._tokenizer.model_max_length > (limit := max_length(self._tokenizer, self._model) or 10**30):
            self._tokenizer.model_max_length = limit
        self._max_position = max_position(self._model)
        if self._task == "text-generation" and self._max_position is None:
            # Rotary positions have no end, but the model's training has: beyond, a prompt of a megabyte would
            # take the function's whole time for noise.
            config = self._model.config.get_text_config(decoder=True)
            self._max_position = getattr(config, "max_position_embeddings", None)
        self._grammars: Grammars | None = None
        self._pipeline = in_time(
            transformers.pipeline(self._task, model=self._model, tokenizer=self._tokenizer, device="cpu")
        )

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        chosen = self._with_windows(parameters)
        inputs = [self._plain(item) for item in inputs]
        if "stride" in chosen and self._tokenizer.model_max_length < NO_LIMIT:
            window = self._tokenizer.model_max_length - self._tokenizer.num_special_tokens_to_add()
            for item in inputs:
                check_windows(item, window - chosen["stride"], window)
        lengths = [self._length(item, chosen) for item in inputs]
        if (most := self._most(chosen)) is not None:
            if "stride" not in chosen:
                beside = self._beside(chosen)
                note_truncated(sum(length + beside > most for length in lengths))
            lengths = [min(length, most) for length in lengths]
        if self._task not in _TRUNCATES and not truncates(chosen):
            can_cut = "truncation" in parameters_of(self._task)
            remedy = "shorten it, or ask for truncation" if can_cut else "shorten it"
            heads = None if self._task == "text-generation" else heads_of(self._model)
            check_length(lengths, self._max_position, remedy=remedy, heads=heads)
        if self._task == "fill-mask":
            self._check_targets(chosen.get("targets"))
            top_k, words = chosen.get("top_k") or _CANDIDATES, len(self._tokenizer)
            for text in inputs:
                masks = text.count(self._tokenizer.mask_token)
                check_candidates(masks, min(top_k, words), len(text), words)
        if self._task == "text-generation":
            check_options(self._model, options_of(chosen), lengths=False)
            check_prompt(max(lengths, default=0), chosen, self._max_position)
            self._make_room(max(lengths, default=0), chosen)
        if (seed := chosen.pop("seed", None)) is not None:
            torch.manual_seed(seed)

        def run(group: list[Input]) -> list[Json]:
            chats = [isinstance(item, list) for item in group]
            if self._task == "text-generation" and len(set(chats)) > 1:  # its pipeline takes one kind at once
                of_kind = {kind: iter(run([*compress(group, map(kind.__eq__, chats))])) for kind in {*chats}}
                return [next(of_kind[kind]) for kind in chats]
            alone = self._tokenizer.pad_token_id is None or self._reads_padding(chosen)
            size = 1 if alone else len(group)
            with torch.inference_mode():
                answers: list[Json] = self._pipeline(group, batch_size=size, **self._translated(chosen))
            return self._answers(group, answers, chosen)

        try:
            written = self._written(chosen)
            held = [length + written for length in lengths]
            return [jsonable(result) for result in run_batches(inputs, held, run, MAX_PADDED_TOKENS)]
        except transformers.pipelines.base.PipelineException as error:
            raise Unprocessable(None, str(error)) from error
        except Exception as error:  # tokenizers has no type of its own
            raise cannot_cut(error) or error from error

    def complete_each(self, items: list[Input], **parameters: Json) -> list[Completion]:
        """The generations of each prompt, whole or piece by piece; beams are one piece, known at the end.

        Those that are run whole are one batch.
        """
        items = [self._plain(item) for item in items]
        lengths = [self._length(item, parameters) for item in items]
        structure = self._structure(parameters)
        if structure is not None:
            self._held(structure)  # what cannot be done is said before anything is streamed
        asked = {**parameters, "return_full_text": False}

        def run() -> list[list[Generated]]:
            return [
                [self._generated(record["generated_text"], asked) for record in records]
                for records in self(items, **asked)
            ]

        def completion(item: Input, length: int, whole: Callable[[], list[Generated]]) -> Completion:
            def at_once(ended: list[Generated]) -> Iterator[str]:
                ended += whole()[:1]
                yield ended[0].text

            def stream(ended: list[Generated]) -> Iterator[str]:
                return self._pieces(item, asked, ended)

            return Completion(length, whole, stream if self._has_pieces(parameters) else at_once, structure)

        return list(map(completion, items, lengths, together(len(items), run)))

    def _structure(self, chosen: Mapping[str, Json]) -> Structure | None:
        structure = structure_of(chosen, self.reads)
        if structure is None:
            return None
        beams = chosen.get("num_beams") or self._model.generation_config.num_beams or 1
        if beams > 1:
            raise BadRequest("num_beams", "1 beside a response_format or a tool_choice", str(beams))
        if not hasattr(self._tokenizer, "backend_tokenizer"):
            raise Unprocessable(
                "response_format", "the model's tokenizer is none that text can be held to a structure with"
            )
        return structure

    def _held(self, structure: Structure) -> Held:
        if self._grammars is None:
            size = self._model.get_output_embeddings().out_features
            self._grammars = Grammars(self._plain_tokenizer, size, self._ends({}))
        return self._grammars.hold(structure)

    def _plain_tokenizer(self) -> Tokenizer:
        tokenizer: Tokenizer = copy(self._tokenizer.backend_tokenizer)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def reads(self, name: str) -> bool:
        """Whether any of the model's chat templates holds `name`."""
        return any(name in each for each in self._templates())

    def _templates(self) -> list[str]:
        source = self._tokenizer.chat_template or ""
        return [source] if isinstance(source, str) else list(source.values())

    def _plain(self, item: Input) -> Input:
        """A chat as the model's templates take it; everything else as it is."""
        is_chat = self._task == "text-generation" and isinstance(item, list)
        return joined_parts(item, self._templates()) if is_chat else item

    def _has_pieces(self, asked: Mapping[str, Json]) -> bool:
        """Whether tokens are final as they come, and their text is put together by the tokenizer alone."""
        beams = asked.get("num_beams") or self._model.generation_config.num_beams or 1
        return (
            beams == 1
            and hasattr(self._tokenizer, "backend_tokenizer")
            and not self._tokenizer.clean_up_tokenization_spaces
        )

    def _pieces(self, item: Input, asked: Mapping[str, Json], ended: list[Generated]) -> Iterator[str]:
        shown = Text(self._tokenizer.backend_tokenizer, texts(asked.get("stop") or ()))
        count, last, whole = 0, None, ""
        tokens = tokens_of(lambda streamer: self([item], **{**asked, "streamer": streamer}))
        with closing(tokens):
            for last in tokens:
                count += 1
                if piece := shown.add(last):
                    whole += piece
                    yield piece
                if shown.stopped:
                    break
        if rest := shown.end():
            yield rest
        whole += rest
        endings = tuple(texts(asked.get("stop_sequence") or ()))
        by_itself = shown.stopped or last in self._ends(asked) or whole.endswith(endings or "\0")
        ended.append(Generated(whole, "stop" if by_itself else "length", count))

    def _ends(self, asked: Mapping[str, Json]) -> list[int]:
        given = asked.get("eos_token_id", self._model.generation_config.eos_token_id)
        return given if isinstance(given, list) else [] if given is None else [int(given)]

    def count_tokens(self, texts: list[str]) -> int:
        return sum(map(len, self._tokenizer(texts, verbose=False)["input_ids"]))

    def _generated(self, text: str, asked: Mapping[str, Json]) -> Generated:
        """Counted from the text: transformers' pipeline keeps the tokens to itself."""
        tokens = len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        longest = asked.get("max_new_tokens") or NEW_TOKENS
        return Generated(text, "length" if tokens >= longest else "stop", tokens)

    def _length(self, item: Input, chosen: Mapping[str, Json]) -> int:
        """Tokens of `item`; a chat counts what its template makes of it, a list of words what these have."""
        if isinstance(item, list) and self._task == "text-generation":
            return self._chat_length(item, chosen)
        if self._task == "text-generation":
            for name in ("tools", "documents", "chat_template_kwargs"):
                if chosen.get(name):
                    raise BadRequest(name, "chat messages beside it, not a text", "a text")
        if isinstance(item, list):
            item = " ".join(item)
        pair = [item] if isinstance(item, str) else [item["text"], item.get("text_pair")]
        return len(self._tokenizer(*pair, verbose=False)["input_ids"])

    def _most(self, chosen: Mapping[str, Json]) -> int | None:
        """Tokens that inputs are cut to; None: they are not."""
        if self._task not in _TRUNCATES and not truncates(chosen):
            return None
        most = int(self._tokenizer.model_max_length)
        return min(chosen.get("max_length") or most, most)

    def _check_targets(self, targets: str | list[str] | None) -> None:
        """Raises BadRequest where no word of `targets` is any token."""
        words = [targets] if isinstance(targets, str) else targets
        if words and not any(
            self._tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"] for word in words
        ):
            raise BadRequest("targets", "at least one word that the model knows", "none")

    def _with_windows(self, parameters: Mapping[str, Json]) -> dict[str, Json]:
        """`parameters`, for token-classification with the stride of its windows."""
        chosen = dict(parameters)
        if self._task == "token-classification" and self._tokenizer.is_fast:
            limit = self._tokenizer.model_max_length
            special = self._tokenizer.num_special_tokens_to_add()
            chosen["stride"] = window_overlap(chosen, limit - special if limit < NO_LIMIT else None)
            if chosen.get("aggregation_strategy") == "none":
                del chosen["aggregation_strategy"]  # transformers refuses the two together, and does both
        elif (most := chosen.get("max_length")) is not None and chosen.get("truncation"):
            chosen["max_length"] = min(most, self._tokenizer.model_max_length)
        return chosen

    def _chat_length(self, messages: list[Json], chosen: Mapping[str, Json]) -> int:
        """Raises Unprocessable for a model without a template, and for what its template refuses."""
        if not self._tokenizer.chat_template:
            reason = "the model has no chat template: give a text instead of messages"
            raise Unprocessable("messages", reason)
        is_continued = messages[-1]["role"] == "assistant"
        try:
            encoded = self._tokenizer.apply_chat_template(
                messages,
                add_generation_prompt=not is_continued,
                continue_final_message=is_continued,
                tools=chosen.get("tools"),
                documents=chosen.get("documents"),
                **(chosen.get("chat_template_kwargs") or {}),
            )
        except Exception as error:  # a template is a program: what it cannot do has any type
            reason = shortened(str(error) or type(error).__name__, 300)
            raise Unprocessable("messages", f"the model's chat template refuses them: {reason}") from error
        return len(encoded["input_ids"])

    def _make_room(self, longest: int, chosen: dict[str, Json]) -> None:
        """Bound the new tokens by what the model holds after the prompt. Raises Unprocessable."""
        if self._max_position is None or "max_length" in chosen:
            return
        room = self._max_position - longest
        wanted = chosen.setdefault("max_new_tokens", max(1, min(NEW_TOKENS, room)))
        if wanted > room:
            text = f"the prompt has {longest} tokens, the model holds {self._max_position} with the answer"
            raise Unprocessable(None, f"{text}: shorten it, or ask for at most {room} new tokens")

    def _reads_padding(self, chosen: Mapping[str, Json]) -> bool:
        """Whether generation would take the padding before a shorter prompt for words of it."""
        if self._task != "text-generation":
            return False
        shipped = self._model.generation_config
        asked = [
            chosen.get(name, getattr(shipped, name, None)) or none for name, none in _OF_THE_PROMPT.items()
        ]
        counts_prompt = "max_length" in chosen and chosen.get("max_new_tokens") is None
        return counts_prompt or asked != [*_OF_THE_PROMPT.values()]

    def _written(self, chosen: Mapping[str, Json]) -> int:
        """Tokens that join those of one input: the texts it becomes, the longest hypothesis about it."""
        if self._task == "text-generation":
            longest = chosen.get("max_new_tokens") or chosen.get("max_length") or NEW_TOKENS
            texts: int = max(chosen.get("num_beams", 1), chosen.get("num_return_sequences", 1))
            return int(longest) * texts
        if self._task == "zero-shot-classification":
            template = chosen.get("hypothesis_template", "This example is {}.")
            hypotheses = [template.format(label) for label in chosen["candidate_labels"]]
            return max(len(self._tokenizer(text)["input_ids"]) for text in hypotheses)
        return 0

    def _beside(self, chosen: Mapping[str, Json]) -> int:
        """Tokens that one input shares its room with: a hypothesis, which is never cut."""
        if self._task != "zero-shot-classification":
            return 0
        alone = self._tokenizer.num_special_tokens_to_add(pair=False)
        twice: int = 2 * alone - self._tokenizer.num_special_tokens_to_add(pair=True)
        return self._written(chosen) - twice

    def _translated(self, chosen: Mapping[str, Json]) -> dict[str, Json]:
        """`chosen` in the words of this task's pipeline. Raises BadRequest for what the model cannot do."""
        if self._task == "text-generation":
            structure = self._structure(chosen)
            held = None if structure is None else self._held(structure)
            return pipeline_options(chosen, self._tokenizer, held, self._ends(chosen))
        if self._task == "fill-mask":  # the one pipeline that takes these apart from its own
            lengths = {name: chosen[name] for name in ("truncation", "max_length") if name in chosen}
            rest = {name: value for name, value in chosen.items() if name not in lengths}
            if "top_k" in rest:
                rest["top_k"] = min(rest["top_k"], int(self._model.config.vocab_size))
            return {**rest, "tokenizer_kwargs": lengths}
        return dict(chosen)

    def _answers(self, group: list[Input], answers: list[Json], chosen: Mapping[str, Json]) -> list[Json]:
        """One for each of `group`, whatever this pipeline makes of a list of one."""
        if self._task == "text-generation":
            return [without_stop(item, made, chosen) for item, made in zip(group, answers, strict=True)]
        if self._task == "fill-mask" and len(group) == 1:
            return [answers]
        return answers
