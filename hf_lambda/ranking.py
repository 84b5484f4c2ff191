"""text-ranking: documents by how well they answer a query, as sentence-transformers' CrossEncoder does it.

A cross-encoder has a head of one output. A judge is a language model that is asked whether the document
answers the query (Qwen3-Reranker): its score is by how much it would rather say "yes" than "no".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UntrainedHead
from .limits import characters, chunks
from .records import Json
from .sentence_embedding import (
    ACTIVATIONS,
    EmbeddingRules,
    NotUnderstood,
    activated,
    read_json,
    read_modules,
    read_text_rules,
    read_transformer,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

Pair = tuple[str, str]
"""A query and one document."""
Encode = Callable[[list[str]], list[list[int]]]
"""Texts to tokens, without special tokens around them."""
_OWN_MODEL_TYPE = "CrossEncoder"
OLD = "it was prepared before this was known; warm it again"
_FUNCTIONS = {"sigmoid": "Sigmoid", "none": "Identity"}


@dataclass(frozen=True)
class Judge:
    """How a language model is asked about a pair, and which tokens its score is read from."""

    tokens: tuple[int, ...] = ()
    """What it says where the document answers the query, and where it does not: the first one's score less
    the second one's. One: its score. None: "yes" and "no", which the tokenizer knows."""
    is_chat: bool | None = None
    """Whether a chat template asks; None: where the tokenizer has one."""
    is_structured: bool | None = None
    """Whether the template takes contents as lists of parts; None: as its text tells."""
    variables: Mapping[str, Json] = field(default_factory=dict)
    """Of the template."""
    template: str | Mapping[str, str] | None = None
    """None: the model reads the pair as a tokenizer joins it."""
    special_tokens: Mapping[str, Json] = field(default_factory=dict)
    is_qwen3: bool = False
    """Whether the question of Qwen3-Reranker is known to its model, where its template has none."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Judge:
        return cls(**{**document, "tokens": tuple(document["tokens"])})

    def to_json(self) -> dict[str, Json]:
        return {**vars(self), "tokens": list(self.tokens)}


@dataclass(frozen=True)
class RankingRules:
    """How a pair of texts becomes a score."""

    activation: str = "Sigmoid"
    """What is made of the model's one output."""
    texts: EmbeddingRules = field(default_factory=EmbeddingRules)
    """How texts are cut and written; its default prompt goes before the query."""
    judge: Judge | None = None
    """None: the model has a head of one output."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> RankingRules:
        judge = document.get("judge")
        return cls(
            document["activation"],
            EmbeddingRules.from_json(document["texts"]),
            Judge.from_json(judge) if judge else None,
        )

    def to_json(self) -> dict[str, Json]:
        judge = {"judge": self.judge.to_json()} if self.judge else {}
        return {"activation": self.activation, "texts": self.texts.to_json(), **judge}

    @property
    def asks(self) -> bool:
        """Whether a chat template writes the pair."""
        return self.judge is not None and self.judge.template is not None

    @property
    def prompt(self) -> str:
        return (self.texts.prompts or {}).get(self.texts.default_prompt or "", "")

    def limit(
        self, parameters: Mapping[str, Json], tokenizer_max: int | None, max_position: int | None
    ) -> int | None:
        """Tokens that a pair is cut to; None: it is not cut."""
        if parameters.get("truncation") in (False, "do_not_truncate"):
            return None
        asked = parameters.get("max_length") or self.texts.max_length
        known = (asked, max_position) if asked else (tokenizer_max, self.texts.table, max_position)
        return min((length for length in known if length), default=None)


def read_rules(snapshot: Path) -> RankingRules:
    """The rules of a repository; those of a judge lack what `with_tokenizer` adds.

    Raises NotUnderstood where it ranks nothing, or by other means than those that are done here.
    """
    config = read_json(snapshot / "config.json", {})
    settings = read_json(snapshot / "config_sentence_transformers.json", {})
    modules = read_modules(snapshot)
    kinds = [kind for kind, _ in modules or [("Transformer", "")]]
    judge = _judge(snapshot, modules) if is_judge(config) else None
    if judge is None and (labels := _labels(config)) != 1:
        raise NotUnderstood(f"its model gives {labels} scores for a pair of texts, a ranking needs one")
    kind = settings.get("model_type", _OWN_MODEL_TYPE)
    if kind != _OWN_MODEL_TYPE:
        raise NotUnderstood(f"it is a {kind} of sentence-transformers, not a {_OWN_MODEL_TYPE}")
    if judge is None and kinds != ["Transformer"]:
        raise NotUnderstood(f"its modules are {', '.join(kinds)}; a Transformer alone is done here")
    texts = read_text_rules(snapshot)
    if texts.default_prompt not in (None, *(texts.prompts or {})):
        raise NotUnderstood(f"its default prompt {texts.default_prompt!r} is none of its prompts")
    return RankingRules(_activation(config, settings), texts, judge)


def is_judge(config: Mapping[str, object]) -> bool:
    """Whether a config.json is a language model's, which ranks by what it would say."""
    named = config.get("architectures")
    return isinstance(named, list) and bool(named) and str(named[0]).endswith("ForCausalLM")


def with_tokenizer(
    rules: RankingRules,
    template: str | Mapping[str, str] | None,
    special_tokens: Mapping[str, Json],
    token_id: Callable[[str], int | None],
) -> RankingRules:
    """`rules` with what a judge's tokenizer says: its chat template, and which tokens its answers are.

    token_id: of a token by its text, None for what is none. Raises NotUnderstood.
    """
    judge = rules.judge
    if judge is None:
        return rules
    found = [token_id(name) for name in _ANSWERS]
    tokens = judge.tokens or tuple(token for token in found if token is not None)
    if not judge.tokens and len(tokens) < len(_ANSWERS):
        raise NotUnderstood('its tokenizer has no tokens "yes" and "no", and it names no others')
    is_chat = template is not None if judge.is_chat is None else judge.is_chat
    if not is_chat:
        return replace(rules, judge=replace(judge, tokens=tokens, template=None))
    if template is None:
        raise NotUnderstood("it asks by a chat template, and has none")
    if (structured := judge.is_structured) is None:
        source = template if isinstance(template, str) else ""
        structured = not source or any(sign in source for sign in _STRUCTURED)
    asked = replace(
        judge,
        tokens=tokens,
        is_structured=structured,
        template=template,
        special_tokens=special_tokens,
    )
    reason = _unasked(asked)
    if reason is None:
        return replace(rules, judge=asked)
    marks = [token_id(mark) for mark in ("<|im_start|>", "<|im_end|>")]
    if not judge.is_qwen3 or None in marks:
        raise NotUnderstood(
            f"its chat template does not ask about a pair ({reason}): it needs to write the messages of the "
            'roles "query" and "document"'
        )
    own = replace(asked, is_structured=False, variables={}, template=_QWEN3)
    return replace(rules, judge=own)


class Question:
    """Pairs as a judge's chat template asks about them, in tokens. Its template is compiled once."""

    def __init__(self, rules: RankingRules) -> None:
        self._prompt = rules.prompt
        self._render = _renderer(rules.judge or Judge())

    def tokens(
        self, pairs: Sequence[Pair], limit: int | None, side: str, encode: Encode
    ) -> list[tuple[list[int], bool]]:
        """Of each pair, and whether something is left out: of what is longer than `limit` tokens the end
        ("right") or the beginning, but what the template writes after the document stays."""
        asked = encode([self._text(query, document) for query, document in pairs])
        if limit is None or all(len(ids) <= limit for ids in asked):
            return [(ids, False) for ids in asked]
        ending = self._ending(encode)
        return [self._cut(ids, limit, side, ending) for ids in asked]

    def _text(self, query: str, document: str) -> str:
        return self._render(self._prompt, query, document)

    @staticmethod
    def _cut(ids: list[int], limit: int, side: str, ending: list[int]) -> tuple[list[int], bool]:
        if len(ids) <= limit:
            return ids, False
        kept = ids[-limit:] if side == "left" else ids[:limit]
        ending = ending[-limit:]
        return kept[: limit - len(ending)] + ending, True

    def _ending(self, encode: Encode) -> list[int]:
        """Tokens that come after the document, whatever it is: as sentence-transformers finds them."""
        first, second = encode([self._text(filler, filler) for filler in ("0", "1 2 3 4")])
        same = 0
        while same < min(len(first), len(second)) and first[-1 - same] == second[-1 - same]:
            same += 1
        return first[len(first) - same :] if same < min(len(first), len(second)) else []


def not_a_ranker(problem: str) -> UntrainedHead:
    return UntrainedHead(
        f"{problem}: text-ranking needs a cross-encoder, for instance cross-encoder/ms-marco-MiniLM-L6-v2"
    )


def scores(logits: NDArray[Any], rules: RankingRules, function_to_apply: str | None) -> list[float]:
    """Scores of pairs, of the model's one output for each."""
    activation = _FUNCTIONS.get(function_to_apply or "", rules.activation)
    return [float(score) for score in activated(activation, logits)]


def rank(
    inputs: Sequence[Mapping[str, Json]],
    score: Callable[[Sequence[Pair]], Sequence[float]],
    parameters: Mapping[str, Json],
) -> list[Json]:
    """For each `{"query", "documents"}` its documents as `{"index", "score"}`, best first.

    `score` is called with pairs of all inputs together, in stretches of bounded size. Of equal ones the
    earlier comes first. With `return_documents` each has its document as it was given.
    """
    pairs = [(str(each["query"]), text_of(document)) for each in inputs for document in each["documents"]]
    scored = [number for some in chunks(pairs, characters) for number in score(some)]
    results: list[Json] = []
    for each in inputs:
        documents = each["documents"]
        own, scored = scored[: len(documents)], scored[len(documents) :]
        order = sorted(range(len(own)), key=lambda index, own=own: -own[index])  # type: ignore[misc]
        best: list[dict[str, Json]] = [
            {"index": index, "score": own[index]} for index in order[: parameters.get("top_n")]
        ]
        if parameters.get("return_documents"):
            best = [{**found, "document": documents[found["index"]]} for found in best]
        results.append(best)
    return results


def text_of(document: Json) -> str:
    """Of a document, which is a text or an object with one."""
    return str(document if isinstance(document, str) else document["text"])


_ANSWERS = ("yes", "no")
_STRUCTURED = ("content[0]", ".type", "'type'", '"type"', "message.content[")
"""What a template says that takes contents as lists of parts; as sentence-transformers tells it."""
_QWEN3 = (
    '{%- set task = (messages | selectattr("role", "eq", "system") | map(attribute="content") | first)'
    ' or "Given a web search query, retrieve relevant passages that answer the query" -%}'
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
    'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    "<Instruct>: {{ task }}\n"
    '<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}\n'
    '<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}'
    '{{ "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n" }}'
)
"""What Qwen3-Reranker was trained on, by its model card (huggingface.co/Qwen/Qwen3-Reranker-0.6B): its
tokenizer's template is that of chats."""


def _renderer(judge: Judge) -> Callable[[str, str, str], str]:
    from .onnx_engine.decoder.chat import Template

    template, variables = Template(judge.template, judge.special_tokens), dict(judge.variables)
    answers = bool(variables.pop("add_generation_prompt", False))

    def render(prompt: str, query: str, document: str) -> str:
        said = {"system": prompt, "query": query, "document": document}
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}] if judge.is_structured else text}
            for role, text in said.items()
            if text or role != "system"
        ]
        return template.render(messages, variables=variables, add_generation_prompt=answers)

    return render


def _unasked(judge: Judge) -> str | None:
    """Why a chat template does not ask about a pair; None: query and document are both in what it writes."""
    from .errors import ServingError

    render = _renderer(judge)
    try:
        first = render("", "one", "two")
        lost = [
            name
            for name, pair in (("query", ("three", "two")), ("document", ("one", "three")))
            if render("", *pair) == first
        ]
    except ServingError as error:
        return str(error)
    return f"it leaves out the {' and the '.join(lost)}" if lost else None


def _judge(snapshot: Path, modules: Sequence[tuple[str, str]] | None) -> Judge:
    """What a repository of a language model says of asking it."""
    is_qwen3 = read_json(snapshot / "config.json", {}).get("model_type") == "qwen3"
    if modules is None:
        return Judge(is_qwen3=is_qwen3)
    kinds = [kind for kind, _ in modules]
    if kinds != ["Transformer", "LogitScore"]:
        raise NotUnderstood(
            f"its modules are {', '.join(kinds)}; of a language model Transformer and LogitScore are done"
        )
    score = read_json(snapshot / modules[1][1] / "config.json", {})
    if score.get("module_input_name", "causal_logits") != "causal_logits":
        raise NotUnderstood(f"its LogitScore reads {score['module_input_name']!r}, not the logits")
    tokens = [score.get(name) for name in ("true_token_id", "false_token_id")]
    tokens = tokens[:1] if tokens[1] is None else tokens
    if not all(isinstance(token, int) and token >= 0 for token in tokens):
        raise NotUnderstood("its LogitScore names no tokens")
    transformer = read_transformer(snapshot)
    chat = (transformer.get("modality_config") or {}).get("message")
    processing = transformer.get("processing_kwargs") or {}
    if unknown := set(processing) - {"chat_template"}:
        raise NotUnderstood(f"the setting {min(unknown)} of its Transformer is not done here")
    form = chat.get("format", "auto") if isinstance(chat, dict) else "auto"
    return Judge(
        tokens=tuple(tokens),
        is_chat=chat is not None,
        is_structured=None if form == "auto" else form == "structured",
        variables=dict(processing.get("chat_template") or {}),
        is_qwen3=is_qwen3,
    )


def _activation(config: Mapping[str, Json], settings: Mapping[str, Json]) -> str:
    """As CrossEncoder finds it: of its own settings, else of the config, else the sigmoid."""
    newer, of_config = config.get("sentence_transformers"), config.get("sbert_ce_default_activation_function")
    if isinstance(newer, dict) and "activation_fn" in newer:
        of_config = newer["activation_fn"]
    for path in (settings.get("activation_fn"), of_config):
        # A path to other code is run by nobody: CrossEncoder takes the default then.
        if isinstance(path, str) and path.startswith("torch."):
            name = path.rpartition(".")[2]
            if name not in ACTIVATIONS:
                raise NotUnderstood(f"the activation {path} is none of {', '.join(ACTIVATIONS)}")
            return name
    return "Sigmoid"


def _labels(config: Mapping[str, Json]) -> int:
    """How many outputs transformers gives a model of this config."""
    names = config.get("id2label")
    if isinstance(names, dict):
        return len(names)
    count = config.get("num_labels")
    return count if isinstance(count, int) else 2
