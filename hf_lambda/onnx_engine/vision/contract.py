"""`serving.json` of a model of images, and how its pictures become pixels. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ...records import Json


@dataclass(frozen=True)
class Recipe:
    """What the image processor of a model does to a picture; the warm-up reads it and compares the result."""

    kind: str = "plain"
    """How `size` is meant: "plain", "crop_pct" (ConvNeXT), "multiple" (DPT), "floor" (GLPN), "floored"
    (YOLOS: plain, then down to a multiple), "page" (Donut: no larger than that, the rest is black)."""
    size: Mapping[str, int] = field(default_factory=dict)
    resize: bool = True
    resample: int = 2
    """Pillow's filter."""
    crop: tuple[int, int] | None = None
    crop_pct: float = 1.0
    multiple: int = 1
    keep_aspect_ratio: bool = False
    size_divisor: int = 32
    align_long_axis: bool = False
    """Of a page: turn a picture that lies where `size` stands, or stands where it lies."""
    thumbnail: bool = False
    """Of a page: scale down until it fits."""
    pad: bool = False
    """Of a page: fill it up with black."""
    bgr: bool = False
    rescale: bool = True
    rescale_factor: float = 1 / 255
    offset: bool = False
    """Subtract one after rescaling."""
    normalize: bool = True
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    top_std: tuple[float, ...] | None = None
    """EfficientNet divides by the deviation once more."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> Recipe:
        fields = dict(document)
        for name in ("crop", "mean", "std", "top_std"):
            if fields.get(name) is not None:
                fields[name] = tuple(fields[name])
        return cls(**fields)

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @property
    def is_fixed(self) -> bool:
        """Whether every picture comes out at one size."""
        if self.kind == "page":
            return self.pad
        if self.crop is not None or not self.resize:
            return self.crop is not None
        if self.kind == "crop_pct":
            return self.size["shortest_edge"] >= 384
        if self.kind == "multiple":
            return not self.keep_aspect_ratio
        return self.kind == "plain" and "height" in self.size


@dataclass(frozen=True)
class TextTower:
    """How labels become vectors that pictures are compared with."""

    inputs: tuple[str, ...]
    """Of the graph `text.onnx`, of input_ids and attention_mask."""
    pad_id: int
    max_length: int
    """Tokens that the model reads at once."""
    width: int | None
    """Tokens that every text is filled up to; None: the longest of a batch."""
    truncate: bool
    rule: str
    """"softmax": the labels share a whole; "sigmoid": each is judged by itself."""
    scale: float
    bias: float = 0.0

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> TextTower:
        return cls(**{**document, "inputs": tuple(document["inputs"])})


@dataclass(frozen=True)
class ImageToTextContract:
    """A model whose encoder's graph reads `pixel_values`, and whose decoder's writes text token by token."""

    head: str
    model_type: str
    recipe: Recipe
    vocabulary: int
    max_position: int | None
    """Tokens that the decoder can take at all, those of a prompt included; None: any number."""
    generation: Mapping[str, Json]
    """The model's own generation options, as transformers names them."""
    starts_with_prompt: bool = False
    """Whether a prompt stands in place of the decoder's start token, as Donut has it, and not after it."""
    cleanup: bool = False
    """Whether decoded text loses the spaces before punctuation."""
    prefetch: Mapping[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> ImageToTextContract:
        return cls(**{**document, "recipe": Recipe.from_json(document["recipe"])})

    def to_json(self) -> dict[str, Json]:
        return {**asdict(self), "generation": dict(self.generation)}


@dataclass(frozen=True)
class VisionContract:
    """A model whose graph reads `pixel_values`."""

    head: str
    model_type: str
    recipe: Recipe
    outputs: tuple[str, ...]
    """Of the graph `model.onnx`."""
    labels: tuple[str, ...] = ()
    problem_type: str | None = None
    rule: str = ""
    """How detections are read: "softmax" (the last class is none), "focal", or "focal-100"."""
    layout: bool = False
    """Let the session choose the layout of convolutions for the CPU at hand: more to do while it opens, and
    faster afterwards for networks that are convolutions for the most part."""
    text: TextTower | None = None
    """Of zero-shot models, whose graph of pictures is `image.onnx`."""
    prefetch: Mapping[str, int] = field(default_factory=dict)
    """Bytes at the start of each weight file that every run reads."""

    @classmethod
    def from_json(cls, document: Mapping[str, Json]) -> VisionContract:
        fields = dict(document)
        fields["recipe"] = Recipe.from_json(fields["recipe"])
        if fields.get("text") is not None:
            fields["text"] = TextTower.from_json(fields["text"])
        for name in ("outputs", "labels"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)

    def to_json(self) -> dict[str, Json]:
        return asdict(self)
