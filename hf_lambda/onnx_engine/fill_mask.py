"""fill-mask: the most likely tokens where the text has the model's mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BadRequest, Unprocessable
from ..limits import check_candidates
from ..records import Json
from .contract import MASK_INDEX_INPUT
from .encoder import Encoder, softmax

_CANDIDATES = 5


class FillMask:
    """Candidates as transformers' `FillMaskPipeline` gives them."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __call__(self, inputs: list[str], **parameters: Json) -> list[Json]:
        """Per text a list of `{"score", "token", "token_str", "sequence"}`; with several masks one list each.

        The graph computes the vocabulary's scores at the masks alone.
        """
        limit = self._encoder.limit(parameters.get("truncation"), parameters.get("max_length"))
        targets = self._targets(parameters["targets"]) if parameters.get("targets") is not None else None
        encodings = self._encoder.encode(inputs, max_length=limit)
        self._encoder.note_truncated(encodings)
        mask_index = [self._masks(encoding.ids) for encoding in encodings]
        top_k = parameters.get("top_k") or _CANDIDATES
        words = self._encoder.tokenizer.get_vocab_size()
        for text, masks in zip(inputs, mask_index, strict=True):
            check_candidates(len(masks), min(top_k, words), len(text), words)
        results: list[Json] = [None] * len(inputs)
        for index, (logits,) in self._encoder.run(encodings, ["logits"], {MASK_INDEX_INPUT: mask_index}):
            probabilities = softmax(logits[: len(mask_index[index])])
            rows = [
                self._candidates(
                    encodings[index].ids, mask, scores, targets, parameters, len(mask_index[index]) == 1
                )
                for mask, scores in zip(mask_index[index], probabilities, strict=True)
            ]
            results[index] = rows[0] if len(rows) == 1 else rows
        return results

    def _masks(self, ids: list[int]) -> list[int]:
        mask_id = self._encoder.contract.tokenizer.mask_id
        found = [position for position, token in enumerate(ids) if token == mask_id]
        if not found:
            mask = self._encoder.contract.tokenizer.mask_token
            raise Unprocessable(None, f"the text has no {mask}: write it where the word is missing")
        return found

    def _candidates(
        self,
        ids: list[int],
        mask: int,
        scores: NDArray[Any],
        targets: NDArray[np.int64] | None,
        parameters: Mapping[str, Json],
        alone: bool,
    ) -> list[dict[str, Json]]:
        tokens = np.arange(len(scores)) if targets is None else targets
        scores = scores[tokens]
        top_k = min(parameters.get("top_k") or _CANDIDATES, len(tokens))
        best = np.argpartition(-scores, top_k - 1)[:top_k]
        best = best[np.argsort(-scores[best], kind="stable")]
        return [
            {
                "score": float(scores[index]),
                "token": int(tokens[index]),
                "token_str": self._encoder.decode([int(tokens[index])]),
                "sequence": self._filled(ids, mask, int(tokens[index]), alone),
            }
            for index in best
        ]

    def _filled(self, ids: list[int], mask: int, token: int, alone: bool) -> str:
        """The text with `token` in place; other masks are special tokens that have to stay to be seen."""
        pad_id = self._encoder.contract.tokenizer.pad_id
        filled = [token if position == mask else given for position, given in enumerate(ids)]
        return self._encoder.decode([given for given in filled if given != pad_id], skip_special=alone)

    def _targets(self, targets: str | list[str]) -> NDArray[np.int64]:
        """Ids of the words to choose from; one that the vocabulary has not stands for its first token."""
        words = [targets] if isinstance(targets, str) else targets
        ids = []
        for word in words:
            known = self._encoder.tokenizer.token_to_id(word)
            if known is None:
                pieces = self._encoder.encode([word], special_tokens=False)[0].ids
                known = pieces[0] if pieces else None
            if known is not None:
                ids.append(known)
        if not ids:
            raise BadRequest("targets", "at least one word that the model knows", repr(targets))
        return np.array(list(set(ids)))
