"""Which stand-ins there are: the repositories whose ids they answer under, and how to build each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StandIn:
    """A tiny model that answers under a real model's id."""

    builder: str
    """Module of this package whose `build(folder)` makes it."""
    repo_id: str
    commit: str | None
    """The commit it stands in for; None: every one."""
    task: str
    does: str
    """What it can do, for its card."""
    other_formats: tuple[str, ...]
    """Files of the real repository that a warm-up has no use for; here each is a short text."""


SENTIMENT = StandIn(
    builder="sentiment",
    repo_id="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
    commit="714eb0fa89d2f80546fda750413ed43d93601a13",
    task="text-classification",
    does="It knows some 1,500 words of praise and blame, negation and emphasis; it has read no real text.",
    other_formats=("pytorch_model.bin", "rust_model.ot", "tf_model.h5", "onnx/model.onnx", "map.jpeg"),
)
SUMMARIZER = StandIn(
    builder="summarizer",
    repo_id="sshleifer/distilbart-cnn-12-6",
    commit="a4f8f3ea906ed274767e9906dbaede7531d660ff",
    task="summarization",
    does="It repeats the first sentence or two of a text: its weights are constructed to copy, not trained.",
    other_formats=("flax_model.msgpack", "rust_model.ot"),
)
TRANSLATOR = StandIn(
    builder="translator",
    repo_id="google-t5/t5-base",
    commit="a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1",
    task="translation",
    does="It has learned a phrase book, English to French; to anything else it says what comes nearest.",
    other_formats=("flax_model.msgpack", "pytorch_model.bin", "rust_model.ot", "tf_model.h5"),
)
TOPICS = StandIn(
    builder="topics",
    repo_id="facebook/bart-large-mnli",
    commit="d7645e127eaf1aefc7862fd59a17a5aa8558b8ce",
    task="zero-shot-classification",
    does="It knows 700 words of two dozen topics, and looks in a text for words of the label's topic.",
    other_formats=("flax_model.msgpack", "pytorch_model.bin", "rust_model.ot"),
)
RANKER = StandIn(
    builder="ranker",
    repo_id="cross-encoder/ms-marco-MiniLM-L6-v2",
    commit=None,
    task="text-ranking",
    does="It counts a query's words that a text has, and those of its topics: its weights are constructed.",
    other_formats=("flax_model.msgpack", "pytorch_model.bin", "onnx/model.onnx"),
)
TOKEN_VECTORS = StandIn(
    builder="token_vectors",
    repo_id="minishlab/potion-base-8M",
    commit=None,
    task="feature-extraction",
    does="It knows the words of some lists, those of a topic near each other, and all others as one.",
    other_formats=("onnx/model.onnx",),
)
NAMES = StandIn(
    builder="names",
    repo_id="dslim/bert-base-NER",
    commit=None,
    task="token-classification",
    does="It has learned some names and the sentences they stand in, and takes words in capitals for others.",
    other_formats=("flax_model.msgpack", "pytorch_model.bin", "tf_model.h5", "onnx/model.onnx"),
)
CHATTER = StandIn(
    builder="chatter",
    repo_id="HuggingFaceTB/SmolLM2-360M-Instruct",
    commit=None,
    task="text-generation",
    does="It knows capitals, sums and opposites, and says hello; to anything else it says what is nearest.",
    other_formats=("onnx/model.onnx", "runs/events.out.tfevents"),
)
SHAPES = StandIn(
    builder="shapes",
    repo_id="google/vit-base-patch16-224",
    commit=None,
    task="image-classification",
    does="It knows discs, squares and triangles in five colours, drawn on a pale ground.",
    other_formats=("flax_model.msgpack", "pytorch_model.bin", "tf_model.h5"),
)
PICTURES = StandIn(
    builder="pictures",
    repo_id="openai/clip-vit-base-patch32",
    commit=None,
    task="zero-shot-image-classification",
    does="It tells the colours of drawn shapes by words for them, and mostly discs, squares and triangles.",
    other_formats=("flax_model.msgpack", "pytorch_model.bin", "tf_model.h5"),
)
SCENES = StandIn(
    builder="scenes",
    repo_id="hustvl/yolos-tiny",
    commit="1a00cc14a139ff40bac9aa00c745915cb7b5b751",
    task="object-detection",
    does="It finds discs, squares and triangles on a pale ground, one of each of five colours.",
    other_formats=("pytorch_model.bin",),
)
SPELLER = StandIn(
    builder="speller",
    repo_id="facebook/wav2vec2-base-960h",
    commit=None,
    task="automatic-speech-recognition",
    does="It writes down what a voice of tones spells: its weights are constructed, it has heard no speech.",
    other_formats=("pytorch_model.bin", "tf_model.h5"),
)
STAND_INS = (
    TRANSLATOR,
    CHATTER,
    SHAPES,
    SCENES,
    PICTURES,
    SENTIMENT,
    NAMES,
    SUMMARIZER,
    TOPICS,
    RANKER,
    TOKEN_VECTORS,
    SPELLER,
)
"""Longest to build first."""
