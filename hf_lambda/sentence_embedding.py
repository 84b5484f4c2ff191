"""What sentence-transformers makes of a repository: pooling, dense layers, normalisation, length, prompts."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BadRequest, Unprocessable
from .records import Json

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

POOLING_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
_LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which several of them are joined."""
_SHORT_MODES = {"mean_sqrt_len": "mean_sqrt_len_tokens"}
AUTO = "auto"
NO_POOLING = "none"
POOLINGS = (AUTO, NO_POOLING, *POOLING_MODES, *_SHORT_MODES)
"""Values of `pooling`; "auto" is what the repository's authors chose, "none" a vector for every token."""
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "Sigmoid")
_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_VECTOR = "sentence_embedding"
_TABLE = "max_position_embeddings"
_UNUSED: dict[str, tuple[object, ...]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "processing_kwargs": (None, {}),
    "query_expansion": (None, False),
    "query_length": (None,),
    "document_length": (None,),
    **dict.fromkeys(("model_args", "tokenizer_args", "config_args"), (None, {})),
    **dict.fromkeys(("model_kwargs", "processor_kwargs", "config_kwargs"), (None, {})),
}
"""Settings of the package's Transformer, with the values that change nothing."""
WEIGHTS = "embedding.npz"
"""Weights of the dense layers in a prepared folder; there is none where there are none."""


class NotUnderstood(Exception):  # noqa: N818 - a result: the repository asks for what is not done here
    """Why the vectors of a repository cannot be made as its authors meant."""


@dataclass(frozen=True)
class Layer:
    """What comes after the pooling: "dense" or "normalize"."""

    kind: str
    activation: str = "Identity"
    residual: bool = False
    folder: str = ""
    """Of a dense layer's weights, in the snapshot."""


@dataclass(frozen=True)
class EmbeddingRules:
    pooling: tuple[str, ...] = ("mean",)
    """Several are joined to one vector."""
    layers: tuple[Layer, ...] = ()
    include_prompt: bool = True
    """Whether the tokens of a prompt are pooled with the text's."""
    max_length: int | None = None
    """Tokens to cut a text to; None: as many as tokenizer and model take."""
    table: int | None = None
    """What the model's config says it takes; counts where `max_length` is None."""
    lowercase: bool = False
    prompts: Mapping[str, str] | None = None
    """By name: what is put before a text."""
    default_prompt: str | None = None
    """Name of the one where a call names none."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> EmbeddingRules:
        layers = tuple(Layer(**layer) for layer in document["layers"])
        return cls(**{**document, "pooling": tuple(document["pooling"]), "layers": layers})

    def to_json(self) -> dict[str, Json]:
        return {
            **vars(self),
            "pooling": list(self.pooling),
            "layers": [asdict(layer) for layer in self.layers],
            "prompts": dict(self.prompts or {}),
        }


def read_rules(snapshot: Path) -> EmbeddingRules:
    """The rules of a repository; mean pooling where it has none of its own, as sentence-transformers does.

    Raises NotUnderstood where its modules or their settings are other than those that are done here.
    """
    settings = read_json(snapshot / "config_sentence_transformers.json", {})
    kind = settings.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise NotUnderstood(f"it is a {kind} of sentence-transformers, not a SentenceTransformer")
    transformer = read_transformer(snapshot)
    for name, values in _UNUSED.items():
        if transformer.get(name) not in values:
            raise NotUnderstood(f"the setting {name} of its Transformer is not done here")
    rules = read_text_rules(snapshot)
    if rules.default_prompt not in (None, *(rules.prompts or {})):
        raise NotUnderstood(f"its default prompt {rules.default_prompt!r} is none of its prompts")
    pooling, include_prompt, layers = _modules(snapshot)
    return replace(rules, pooling=pooling, include_prompt=include_prompt, layers=layers)


def read_text_rules(snapshot: Path) -> EmbeddingRules:
    """What a repository says of its texts alone: length, case, prompts. Raises NotUnderstood."""
    settings = read_json(snapshot / "config_sentence_transformers.json", {})
    transformer = read_transformer(snapshot)
    length, table = transformer.get("max_seq_length"), read_json(snapshot / "config.json", {}).get(_TABLE)
    if length is not None and not (isinstance(length, int) and length > 0):
        raise NotUnderstood("its max_seq_length is not a number of tokens")
    return EmbeddingRules(
        max_length=length,
        table=table if isinstance(table, int) and table > 0 else None,
        lowercase=bool(transformer.get("do_lower_case")),
        # The package knows these two names of every model.
        prompts={"query": "", "document": "", **{n: p or "" for n, p in _prompts(settings).items()}},
        default_prompt=settings.get("default_prompt_name"),
    )


@dataclass(frozen=True)
class Pooled:
    """How the texts of one call become vectors."""

    rules: EmbeddingRules
    prompt: str
    """Put before every text."""
    is_cut: bool
    most: int | None
    """Tokens that a text is cut to, where it is cut; None: as many as tokenizer and model take."""
    side: str | None
    """Where it is cut, "left" or "right"; None: where the tokenizer does it."""
    uses_tokenizer_limit: bool
    """Whether the tokenizer's own maximum counts too."""

    @property
    def counts_prompt(self) -> bool:
        """Whether the tokens of the prompt have to be told from the text's."""
        return bool(self.prompt) and not self.rules.include_prompt

    def limit(self, tokenizer_max: int | None, max_position: int | None) -> int | None:
        """Tokens to cut to; None: not cut."""
        known = (self.most, tokenizer_max if self.uses_tokenizer_limit else None, max_position)
        return min((length for length in known if length), default=None) if self.is_cut else None


def pooled(
    parameters: Mapping[str, Json], rules: EmbeddingRules | None, problem: str | None
) -> Pooled | None:
    """What `parameters` ask for; None: a vector for every token. `problem`: why `rules` are not all there is.

    Raises Unprocessable where the repository's own pooling is asked for and not understood, BadRequest for a
    prompt that it does not know.
    """
    pooling = parameters.get("pooling")
    if pooling in (None, NO_POOLING):
        return None
    rules = rules or EmbeddingRules()
    if pooling == AUTO and problem:
        known = ", ".join(POOLING_MODES)
        raise Unprocessable("pooling", f"auto is not possible: {problem}. Name a pooling, one of {known}")
    prompt = _prompt(parameters, rules, is_auto=pooling == AUTO)
    if pooling != AUTO:
        rules = replace(rules, pooling=(str(_SHORT_MODES.get(pooling, pooling)),), layers=())
    layers = list(rules.layers)
    if (normalize := parameters.get("normalize")) is not None:
        while layers and layers[-1].kind == "normalize":
            layers.pop()
        layers += [Layer("normalize")] if normalize else []
    truncation, asked = parameters.get("truncation"), parameters.get("max_length")
    return Pooled(
        replace(rules, layers=tuple(layers)),
        prompt,
        is_cut=truncation not in (False, "do_not_truncate"),
        most=asked or rules.max_length or rules.table,
        side=parameters.get("truncation_side"),
        uses_tokenizer_limit=not (asked or rules.max_length),
    )


def prompt_before(parameters: Mapping[str, Json], rules: EmbeddingRules | None) -> str:
    """What goes before every text where none is pooled. Raises BadRequest for a name that is not known."""
    return _prompt(parameters, rules or EmbeddingRules(), is_auto=False)


def prompt_tokens(ids: list[int], special_ids: Collection[int]) -> int:
    """How many of a text's first tokens are those of its prompt, which alone has `ids`."""
    return len(ids) - (bool(ids) and ids[-1] in special_ids)


def lowercasing(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of a `tokenizers.Tokenizer` that makes texts lower case first, as the package does it."""
    from tokenizers import Tokenizer, normalizers

    copy = Tokenizer.from_str(tokenizer.to_str())
    before = [] if copy.normalizer is None else [copy.normalizer]
    copy.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    return copy


class SentenceEmbedder:
    """From the states of a text's tokens to its vector."""

    def __init__(self, rules: EmbeddingRules, weights: Mapping[str, NDArray[Any]]) -> None:
        """weights: "<index of the layer>.<weight, bias or residual>" -> numpy array."""
        self._rules, self._weights = rules, weights

    def vector(self, states: NDArray[Any], prompt_tokens: int = 0) -> NDArray[Any]:
        """states: (tokens, width), without padding; prompt_tokens: how many at the start are the prompt's."""
        import numpy as np

        start = 0 if self._rules.include_prompt else min(prompt_tokens, len(states) - 1)
        parts = [_POOL[mode](states, start) for mode in self._rules.pooling]
        return self.finished(np.concatenate(parts).astype(np.float32))

    def finished(self, vector: NDArray[Any]) -> NDArray[Any]:
        """What the layers after the pooling make of its vector."""
        import numpy as np

        for index, layer in enumerate(self._rules.layers):
            if layer.kind == "normalize":
                vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
            else:
                vector = self._dense(index, layer, vector)
        return vector

    def _dense(self, index: int, layer: Layer, vector: NDArray[Any]) -> NDArray[Any]:
        made: NDArray[Any] = self._weights[f"{index}.weight"] @ vector
        if (bias := self._weights.get(f"{index}.bias")) is not None:
            made = made + bias
        made = activated(layer.activation, made)
        if layer.residual:
            projection = self._weights.get(f"{index}.residual")
            made = made + (vector if projection is None else projection @ vector)
        return made


def read_embedder(rules: EmbeddingRules, prepared: Path) -> SentenceEmbedder:
    """The embedder of a prepared folder."""
    return SentenceEmbedder(rules, read_weights(rules, prepared))


def read_weights(rules: EmbeddingRules | None, prepared: Path) -> dict[str, NDArray[Any]]:
    """Weights of the dense layers of a prepared folder, as SentenceEmbedder takes them."""
    if rules is None or not any(layer.kind == "dense" for layer in rules.layers):
        return {}
    import numpy as np

    with np.load(prepared / WEIGHTS) as weights:
        return dict(weights)


def pool(states: NDArray[Any], mode: str) -> NDArray[Any]:
    """states (tokens, width), without padding, as one vector."""
    return _POOL[mode](states, 0)


def _prompt(parameters: Mapping[str, Json], rules: EmbeddingRules, *, is_auto: bool) -> str:
    """The text, else the one of that name, else the repository's default where all is its own."""
    if (given := parameters.get("prompt")) is not None:
        return str(given)
    prompts = rules.prompts or {}
    name = parameters.get("prompt_name")
    if name is None:
        return prompts.get(rules.default_prompt or "", "") if is_auto else ""
    if name not in prompts:
        raise BadRequest(
            "prompt_name", f"one of the model's prompts: {', '.join(sorted(prompts))}", "another"
        )
    return prompts[name]


def _weighted_mean(states: NDArray[Any], start: int) -> NDArray[Any]:
    import numpy as np

    weights = np.arange(start + 1, len(states) + 1, dtype=np.float32)[:, None]
    mean: NDArray[Any] = (states[start:] * weights).sum(axis=0) / weights.sum()
    return mean


_POOL: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {
    "cls": lambda states, start: states[start],
    "max": lambda states, start: states[start:].max(axis=0),
    "mean": lambda states, start: states[start:].mean(axis=0),
    "mean_sqrt_len_tokens": lambda states, start: states[start:].sum(axis=0) / (len(states) - start) ** 0.5,
    "weightedmean": _weighted_mean,
    "lasttoken": lambda states, start: states[-1],
}


def activated(name: str, values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    made = values
    if name == "Tanh":
        made = np.tanh(values)
    elif name == "ReLU":
        made = np.maximum(values, 0)
    elif name == "Sigmoid":
        made = 1 / (1 + np.exp(-values))
    return made


def read_transformer(snapshot: Path) -> dict[str, Json]:
    """Settings of the package's Transformer; empty where the repository has none."""
    own = next((path for name in _CONFIGS if (path := snapshot / name).is_file()), None)
    return read_json(own, {}) if own else {}


def _prompts(settings: Mapping[str, Json]) -> dict[str, str | None]:
    prompts = settings.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise NotUnderstood("its prompts are not texts by name")
    return prompts


def read_modules(snapshot: Path) -> list[tuple[str, str]] | None:
    """Kind and folder of each module that the package builds; None where the repository says nothing.

    Raises NotUnderstood where one is code of its own.
    """
    modules = read_json(snapshot / "modules.json", None)
    if modules is None:
        return None
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise NotUnderstood("modules.json is not a list of modules")
    return [(_kind(module), str(module.get("path", ""))) for module in modules]


def _modules(snapshot: Path) -> tuple[tuple[str, ...], bool, tuple[Layer, ...]]:
    modules = read_modules(snapshot)
    if modules is None:
        return ("mean",), True, ()
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise NotUnderstood(f"its modules are {', '.join(kinds)}; Transformer and Pooling come first here")
    pooling, include_prompt = _pooling(snapshot / modules[1][1])
    return pooling, include_prompt, _layers(snapshot, modules[2:])


def static_folder(snapshot: Path) -> Path | None:
    """Where the table of a repository's StaticEmbedding is; None where its first module is another."""
    try:
        modules = read_json(snapshot / "modules.json", None)
        first = modules[0] if isinstance(modules, list) and modules else None
        if not isinstance(first, dict) or _kind(first) != "StaticEmbedding":
            return None
    except NotUnderstood:
        return None
    return snapshot / str(first.get("path", ""))


def read_static_rules(snapshot: Path) -> EmbeddingRules:
    """The rules of a repository of StaticEmbedding. Raises NotUnderstood."""
    texts = read_text_rules(snapshot)
    layers = _layers(snapshot, (read_modules(snapshot) or [])[1:])
    return replace(texts, table=None, max_length=None, lowercase=False, layers=layers)


def _layers(snapshot: Path, modules: Sequence[tuple[str, str]]) -> tuple[Layer, ...]:
    """What comes after the module that makes the vector."""
    layers = []
    for kind, folder in modules:
        config = read_json(snapshot / folder / "config.json", {})
        if config.get("module_input_name", _VECTOR) != _VECTOR:
            raise NotUnderstood(f"its {kind} reads {config['module_input_name']!r}, not the text's vector")
        if kind == "Normalize":
            layers.append(Layer("normalize"))
        elif kind == "Dense":
            layers.append(_dense(config, folder))
        elif kind != "Dropout":
            raise NotUnderstood(f"its module {kind} is not done here")
    return tuple(layers)


def _kind(module: Mapping[str, Json]) -> str:
    name = str(module.get("type"))
    if not name.startswith("sentence_transformers."):
        raise NotUnderstood(f"its module {name} is code of its own")
    return name.rpartition(".")[2]


def _pooling(folder: Path) -> tuple[tuple[str, ...], bool]:
    config = read_json(folder / "config.json", {})
    modes: Json = config.get("pooling_mode")
    if modes is None:
        legacy = [mode for key, mode in _LEGACY_MODES.items() if config.get(key)]
        modes = legacy or ["mean"]
    names = [modes] if isinstance(modes, str) else modes
    if not isinstance(names, list) or not names or any(name not in POOLING_MODES for name in names):
        raise NotUnderstood(f"its pooling {modes!r} is none of {', '.join(POOLING_MODES)}")
    return tuple(names), bool(config.get("include_prompt", True))


def _dense(config: Mapping[str, Json], folder: str) -> Layer:
    activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    name = activation.rpartition(".")[2]
    if not activation.startswith("torch.nn.") or name not in ACTIVATIONS:
        raise NotUnderstood(f"the activation {activation} of its Dense is none of {', '.join(ACTIVATIONS)}")
    if config.get("module_output_name") not in (None, _VECTOR):
        raise NotUnderstood(f"its Dense writes {config['module_output_name']!r}, not the text's vector")
    return Layer("dense", name, bool(config.get("use_residual")), folder)


def read_json(path: Path, missing: Json) -> Json:
    """What is in `path`; `missing` where there is no such file. Raises NotUnderstood."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return missing
    except (OSError, ValueError) as error:
        raise NotUnderstood(f"{path.name} cannot be read") from error
    if missing == {} and not isinstance(document, dict):
        raise NotUnderstood(f"{path.name} is not an object")
    return document
