"""Whisper: what is said in a sound of any length, on the decoding loop of encoder-decoder models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import deadline
from ...engines import Input
from ...errors import Unprocessable
from ...media.samples import heard
from ...parameters import generation_options
from ...records import Json
from ..generation.asked import resolve_asked
from ..generation.decoder import Decoder
from ..generation.encoder_decoder import Encoded, SpeechEncoderDecoder
from ..generation.loop import generate
from ..generation.options import Options, Timestamps
from .contract import SoundRecipe, WhisperRules
from .ctc import chunks
from .features import Features
from .transcript import Heard, Overlap, transcript

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEAMS, NEW_TOKENS = 5, 256
"""What transformers' pipeline asks for where neither the model nor the request says; the latter only where
nothing says how long an answer may be."""
_LENGTHS = ("max_length", "min_length", "max_new_tokens", "min_new_tokens")
_DEFAULT_LENGTH = 20
WHISPER_OWN = frozenset(
    {
        *("alignment_heads", "forced_decoder_ids", "is_multilingual", "lang_to_id", "task_to_id"),
        *(
            "max_initial_timestamp_index",
            "no_timestamps_token_id",
            "prev_sot_token_id",
            "median_filter_width",
        ),
        *("return_timestamps", "language", "task"),
    }
)
"""Generation options of Whisper's that the decoding loop knows nothing of."""


@dataclass(frozen=True)
class Asked:
    """One call: its options without lengths, and what of it is Whisper's own."""

    options: Options
    max_new_tokens: int | None
    max_length: int
    min_new_tokens: int | None
    min_length: int
    language: str | None
    task: str | None
    prompt: tuple[int, ...]
    timestamps: bool | None


class WhisperRecognition:
    def __init__(
        self, model: SpeechEncoderDecoder, recipe: SoundRecipe, rules: WhisperRules, tokenizer: Tokenizer
    ) -> None:
        self._model, self._recipe, self._rules, self._tokenizer = model, recipe, rules, tokenizer
        self._features = Features(recipe)

    def __call__(self, inputs: list[Input], **parameters: Json) -> list[Json]:
        asked = read_call(parameters, self._rules, self._previous(parameters.get("prompt")))
        return [self._answer(item, parameters, asked) for item in inputs]

    def _answer(self, item: Input, parameters: Mapping[str, Json], asked: Asked) -> Json:
        rate = self._recipe.rate
        wants_language = bool(parameters.get("return_language"))
        heard_parts = []
        for chunk in chunks(heard(item, rate), rate, 1, parameters):
            tokens, language = self.tokens(self._features(chunk.samples, whole=chunk.is_whole), asked)
            if wants_language and language is not None:
                tokens = [language, *tokens]
            overlap = Overlap(*(each / rate for each in (len(chunk.samples), chunk.left, chunk.right)))
            heard_parts.append(Heard(tokens, None if chunk.is_whole else overlap))
        wants_timestamps = bool(
            parameters.get("return_timestamps") or self._rules.generation.get("return_timestamps")
        )
        return transcript(
            heard_parts, self._rules, self._tokenizer, timestamps=wants_timestamps, language=wants_language
        )

    def tokens(self, features: NDArray[Any], asked: Asked) -> tuple[list[int], int | None]:
        """What is heard in `features` (mels, columns), window by window, and the token of its language."""
        rules, generation = self._rules, self._rules.generation
        total = features.shape[1]
        timestamps = self._timestamps(asked, is_long=total > rules.frames)
        encoded = self._model.encode([self._window(features, 0)])
        prompt = (*asked.prompt, *self.prompt(asked, encoded, timestamps=timestamps is not None))
        found: list[int] = []
        language: int | None = None
        at, longest = 0, asked.max_length
        while at < total:
            deadline.check()
            if at:
                encoded = self._model.encode([self._window(features, at)])
            # transformers adds the prompt's length once more for every window.
            longest = min(longest + min(rules.positions // 2 - 1, len(prompt)), rules.positions)
            options = self.options_of_window(asked, prompt, longest, timestamps)
            answer = self.generate(encoded, options)
            if not at:
                known = set((generation.get("lang_to_id") or {}).values())
                language = next((token for token in (*prompt, *answer) if token in known), None)
            kept, step = segments(
                self._without_end(answer, options),
                generation.get("no_timestamps_token_id", rules.vocabulary) + 1,
                min(total - at, rules.frames),
            )
            found += kept
            at += step
        return found, language

    def generate(self, encoded: Encoded, options: Options) -> list[int]:
        """The answer for one window, without the prompt."""
        encoder_kv, mask = encoded
        ((answer,),) = generate(
            lambda rows: Decoder(self._model.decoder, encoder_kv, mask, rows), [[0]], options
        )
        return answer[len(options.begin) :]

    def prompt(self, asked: Asked, encoded: Encoded, *, timestamps: bool) -> list[int]:
        """The tokens that say what to do: start, language, task, and whether without timestamps."""
        rules, generation = self._rules, self._rules.generation
        tokens: list[int | None] = [asked.options.decoder_start_token_id]
        if asked.task is None and asked.language is None:
            tokens += [token for _, token in generation.get("forced_decoder_ids") or ()]
        if asked.language is not None:
            tokens[1:2] = [rules.languages[asked.language]]
        elif "lang_to_id" in generation and (len(tokens) == 1 or tokens[1] is None):
            tokens[1:2] = [self._spoken(encoded, asked)]
        tasks = generation.get("task_to_id") or {}
        if asked.task is not None:
            tokens.append(tasks[asked.task])
        elif asked.language is not None and tasks and not {*tokens} & {*tasks.values()}:
            tokens.append(tasks["transcribe"])
        plain = generation.get("no_timestamps_token_id")
        if not timestamps and plain is not None and tokens[-1] != plain:
            tokens.append(plain)
        elif timestamps and tokens[-1] == plain:
            tokens.pop()
        return [token for token in tokens if token is not None]

    def _spoken(self, encoded: Encoded, asked: Asked) -> int:
        """The token of the language that is spoken, as the model hears it."""
        encoder_kv, mask = encoded
        decoder = Decoder(self._model.decoder, encoder_kv, mask, 1)
        start = np.array([asked.options.decoder_start_token_id])
        scores = decoder.step(start, np.zeros(1, np.int64))[0]
        tokens = sorted(self._rules.generation["lang_to_id"].values())
        return int(tokens[int(scores[tokens].argmax())])

    def _window(self, features: NDArray[Any], at: int) -> NDArray[np.float32]:
        part = features[:, at : at + self._rules.frames]
        return np.pad(part, ((0, 0), (0, self._rules.frames - part.shape[1])))

    def _timestamps(self, asked: Asked, *, is_long: bool) -> Timestamps | None:
        generation = self._rules.generation
        plain = generation.get("no_timestamps_token_id")
        if is_long and asked.timestamps is False:
            seconds = self._recipe.window / self._recipe.rate
            raise Unprocessable(
                None,
                f"the sound is longer than the {seconds:g} s that the model hears at once: send "
                "`return_timestamps`: true, or `chunk_length_s`",
            )
        if not (asked.timestamps or is_long):
            return None
        if plain is None:
            raise Unprocessable(
                "return_timestamps", "the model's generation_config.json has no `no_timestamps_token_id`"
            )
        return Timestamps(plain + 1, generation.get("max_initial_timestamp_index"))

    def options_of_window(
        self, asked: Asked, prompt: tuple[int, ...], longest: int, timestamps: Timestamps | None
    ) -> Options:
        if asked.max_new_tokens is not None:
            longest = len(prompt) + asked.max_new_tokens
        if longest > self._rules.positions or len(prompt) >= longest:
            raise Unprocessable(
                None,
                f"the prompt has {len(prompt)} tokens and {longest - len(prompt)} may follow, the model has "
                f"{self._rules.positions} positions: shorten the prompt, or ask for other lengths",
            )
        shortest = asked.min_length
        if asked.min_new_tokens is not None:
            shortest = len(prompt) + asked.min_new_tokens
        return replace(
            asked.options, prompt=prompt, max_length=longest, min_length=shortest, timestamps=timestamps
        )

    def _without_end(self, answer: list[int], options: Options) -> list[int]:
        """`answer` without its padding, as transformers counts it, and its end."""
        pad = options.pad_token_id
        if answer and answer[-1] == pad:
            count = answer.count(pad) - (pad in options.eos_token_id)
            answer = answer[: len(answer) - count]
        return answer[:-1] if answer and answer[-1] in options.eos_token_id else answer

    def _previous(self, text: str | None) -> tuple[int, ...]:
        """A prompt as tokens of what was said before. Raises Unprocessable for special tokens in it."""
        if not text:
            return ()
        ids = self._tokenizer.encode("<|startofprev|>", " " + text.strip(), add_special_tokens=False).ids
        if any(token >= min(self._rules.special_ids) for token in ids[1:]):
            raise Unprocessable("prompt", "the prompt holds one of the model's special tokens")
        return tuple(ids)


def read_call(parameters: Mapping[str, Json], rules: WhisperRules, prompt: tuple[int, ...] = ()) -> Asked:
    """What a call asks of a model with `rules`. prompt: tokens of what was said before.

    Raises BadRequest and Unprocessable for what this model cannot be asked.
    """
    generation = rules.generation
    wanted = parameters.get("return_timestamps")
    if wanted in ("char", "word"):
        remedy = "ask for true" if wanted == "char" else 'ask for true, or write engine="torch"'
        raise Unprocessable("return_timestamps", f"not of each {wanted} from a prepared Whisper: {remedy}")
    timestamps = bool(wanted) if wanted else None
    request = generation_options(parameters)
    asked = {name: value for name, value in request.items() if name not in _LENGTHS}
    shipped = {
        name: value for name, value in generation.items() if name not in WHISPER_OWN and name not in _LENGTHS
    }
    # Whisper samples where a temperature is asked for and nowhere else.
    temperature = asked.pop("temperature", None)
    asked["do_sample"] = bool(temperature)
    beams = asked.get("num_beams") or shipped.get("num_beams") or BEAMS
    options = resolve_asked(shipped, {**asked, "num_beams": beams}, vocabulary=rules.vocabulary)
    if options.pad_token_id is None:
        options = replace(options, pad_token_id=rules.pad_id)
    options = replace(
        options,
        num_beams=1 if temperature else beams,
        temperature=float(temperature or 1.0),
        num_return_sequences=1,  # transformers reads the first alone
        forced_bos_token_id=None,  # never at its place behind a prompt
        # They look at the tokens of the source: a sound has none, and transformers passes over them.
        encoder_repetition_penalty=1.0,
        encoder_no_repeat_ngram_size=0,
    )
    length = request.get("max_length", generation.get("max_length"))
    new = request.get("max_new_tokens", generation.get("max_new_tokens"))
    if new is None and length is None:
        new = NEW_TOKENS
    return Asked(
        options=options,
        max_new_tokens=new,
        max_length=length or _DEFAULT_LENGTH,
        min_new_tokens=request.get("min_new_tokens", generation.get("min_new_tokens")),
        min_length=request.get("min_length", generation.get("min_length")) or 0,
        language=_language(parameters.get("language") or generation.get("language"), rules),
        task=_task(parameters.get("task") or generation.get("task"), rules),
        prompt=prompt,
        timestamps=timestamps if timestamps else generation.get("return_timestamps"),
    )


def segments(tokens: list[int], first: int, left: int) -> tuple[list[int], int]:
    """The tokens of a window that count, and how many columns to go on.

    first: the timestamp of 0 s; left: columns of the window that hold sound. What follows the last pair of
    timestamps was cut off by the window's end: it is heard again in the next one.
    """
    stamps = [token >= first for token in tokens]
    pairs = [place + 1 for place in range(len(stamps) - 1) if stamps[place] and stamps[place + 1]]
    if not pairs or stamps[-2:] == [False, True]:
        return tokens, left
    kept = tokens[: pairs[-1] + 1]
    return kept, (kept[-2] - first) * 2


def _language(given: str | None, rules: WhisperRules) -> str | None:
    if given is None:
        return None
    _check_multilingual("language", rules)
    name = given.lower()
    if name not in rules.languages:
        raise Unprocessable("language", f"the model does not know the language {given!r}")
    return name


def _task(given: str | None, rules: WhisperRules) -> str | None:
    if given is not None:
        _check_multilingual("task", rules)
        if given not in (rules.generation.get("task_to_id") or {}):
            raise Unprocessable("task", f"the model's generation_config.json does not know {given!r}")
    return given


def _check_multilingual(name: str, rules: WhisperRules) -> None:
    if rules.generation.get("is_multilingual") is False:
        raise Unprocessable(name, f"this model knows English alone: leave `{name}` out")
