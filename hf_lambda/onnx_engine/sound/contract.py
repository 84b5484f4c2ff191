"""`serving.json` of a model of sound, and how its sound becomes features. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ...records import Json


@dataclass(frozen=True)
class SoundRecipe:
    """What the feature extractor of a model does to samples; the warm-up reads it and compares the result."""

    kind: str
    """"wave": the samples themselves; "log-mel": Whisper's spectrogram; "fbank": Kaldi's, as AST hears it."""
    rate: int
    """Samples a second."""
    least: int = 1
    """Samples that the network needs for one output."""
    normalize: bool = False
    """"wave": mean 0 and variance 1; "fbank": by `mean` and `std`."""
    mean: float = 0.0
    std: float = 1.0
    mels: int = 0
    fft: int = 0
    """Samples that one column of a spectrogram looks at."""
    hop: int = 0
    """Samples from one column to the next; "wave": from one step of the network to the next."""
    window: int = 0
    """"log-mel": samples that the network hears at once."""
    frames: int = 0
    """"fbank": columns that the network sees at once."""


@dataclass(frozen=True)
class CtcRules:
    """How one token for each few milliseconds becomes text, as Wav2Vec2CTCTokenizer does it."""

    tokens: tuple[str, ...]
    """By id."""
    blank: str
    """The token that says nothing and separates equal letters."""
    delimiter: str
    """The token between words."""
    space: str
    """What `delimiter` becomes."""
    lower: bool
    cleanup: bool
    stride: int
    """Samples from one token to the next."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> CtcRules:
        return cls(**{**document, "tokens": tuple(document["tokens"])})


@dataclass(frozen=True)
class WhisperRules:
    """How Whisper is prompted, and what its tokens mean."""

    generation: Mapping[str, Json]
    """The model's own generation options, as transformers names them."""
    positions: int
    """Tokens of prompt and answer that the decoder can take."""
    vocabulary: int
    frames: int
    """Columns of the spectrogram that the encoder takes at once."""
    pad_id: int | None
    """The tokenizer's."""
    first_timestamp: int
    """The tokenizer's <|0.00|>."""
    previous_id: int
    """<|startofprev|>, before a prompt."""
    start_id: int
    """<|startoftranscript|>, after it."""
    special_ids: tuple[int, ...]
    languages: Mapping[str, int]
    """What a request may call a language -> its token; empty for a model of English alone."""
    spoken: Mapping[int, str]
    """Token -> English name of its language."""
    cleanup: bool
    seconds: float
    """From one timestamp to the next."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> WhisperRules:
        spoken = {int(token): name for token, name in document["spoken"].items()}
        return cls(**{**document, "special_ids": tuple(document["special_ids"]), "spoken": spoken})


@dataclass(frozen=True)
class SoundContract:
    """A model that hears: one graph `model.onnx`, or Whisper's two that write text."""

    head: str
    model_type: str
    recipe: SoundRecipe
    labels: tuple[str, ...] = ()
    problem_type: str | None = None
    ctc: CtcRules | None = None
    whisper: WhisperRules | None = None
    prefetch: Mapping[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads; the embedding rows come after them."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> SoundContract:
        fields = dict(document)
        fields["recipe"] = SoundRecipe(**fields["recipe"])
        fields["labels"] = tuple(fields.get("labels", ()))
        if fields.get("ctc") is not None:
            fields["ctc"] = CtcRules.from_json(fields["ctc"])
        if fields.get("whisper") is not None:
            fields["whisper"] = WhisperRules.from_json(fields["whisper"])
        return cls(**fields)

    def to_json(self) -> dict[str, Json]:
        return asdict(self)
