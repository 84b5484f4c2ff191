"""The tasks that `pipeline` takes: aliases, model heads, default models."""

from __future__ import annotations

import re

HEADS = {
    "text-classification": "sequence-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "fill-mask": "masked-lm",
    "feature-extraction": "feature-extraction",
    "zero-shot-classification": "sequence-classification",
    "text-ranking": "sequence-classification",
    "text-generation": "causal-lm",
    "summarization": "seq2seq-lm",
    "translation": "seq2seq-lm",
    "text2text-generation": "seq2seq-lm",
    # Of these the head is the task: nobody shares a model between two of them.
    **{
        task: task
        for task in (
            "image-classification",
            "image-feature-extraction",
            "image-segmentation",
            "object-detection",
            "depth-estimation",
            "image-to-text",
            "zero-shot-image-classification",
            "zero-shot-object-detection",
            "keypoint-matching",
            "document-question-answering",
            "image-text-to-text",
            "audio-classification",
            "automatic-speech-recognition",
            "zero-shot-audio-classification",
            "text-to-audio",
            "decision",
        )
    },
}
TASKS = tuple(HEADS)
ALIASES = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "text-to-speech": "text-to-audio",
}

AUTO_CLASSES = {
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "question-answering": "AutoModelForQuestionAnswering",
    "masked-lm": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
    "causal-lm": "AutoModelForCausalLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "image-classification": "AutoModelForImageClassification",
    "image-feature-extraction": "AutoModel",
    "object-detection": "AutoModelForObjectDetection",
    "image-segmentation": "AutoModelForSemanticSegmentation",
    "depth-estimation": "AutoModelForDepthEstimation",
    "zero-shot-image-classification": "AutoModelForZeroShotImageClassification",
    "audio-classification": "AutoModelForAudioClassification",
}
"""The class of transformers that loads a head. Other heads have several, by the model's type."""

_TASK_OF_ARCHITECTURE = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForPreTraining": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForSeq2SeqLM": "text2text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "MTModel": "text2text-generation",
    "ForImageClassification": "image-classification",
    "ForZeroShotImageClassification": "zero-shot-image-classification",
    "ForObjectDetection": "object-detection",
    "ForZeroShotObjectDetection": "zero-shot-object-detection",
    "ForImageSegmentation": "image-segmentation",
    "ForSemanticSegmentation": "image-segmentation",
    "ForDepthEstimation": "depth-estimation",
    "ForKeypointMatching": "keypoint-matching",
    "ForMaskGeneration": "mask-generation",
    "ForVideoClassification": "video-classification",
    "ForImageTextToText": "image-text-to-text",
    "ForDocumentQuestionAnswering": "document-question-answering",
    "ForTableQuestionAnswering": "table-question-answering",
    "ForVisualQuestionAnswering": "visual-question-answering",
    "ForAudioClassification": "audio-classification",
    "ForCTC": "automatic-speech-recognition",
    "ForTDT": "automatic-speech-recognition",
    "ForSpeechSeq2Seq": "automatic-speech-recognition",
    "ForTextToWaveform": "text-to-audio",
    "ForTextToSpectrogram": "text-to-audio",
    "ForMultipleChoice": "multiple choice",
    "VisionEncoderDecoderModel": "image-to-text",
    "Model": "feature-extraction",
}
"""By how the name of a model's class ends, the first that fits."""

TORCH_ONLY = (
    "decision",
    "document-question-answering",
    "image-text-to-text",
    "keypoint-matching",
    "text-to-audio",
    "zero-shot-audio-classification",
    "zero-shot-object-detection",
)
"""Tasks whose models nobody prepares: torch answers them, from the full image."""

REFUSED = {
    "any-to-any": "its models answer in several kinds at once and have billions of parameters; "
    'write "image-text-to-text" or "automatic-speech-recognition"',
    "mask-generation": "its masks are sorted out by torchvision, with which other image models would answer "
    'otherwise; write "image-segmentation" or "object-detection"',
    "table-question-answering": "its tokenizer needs pandas, which the images do not have; "
    'write the table as text and "question-answering"',
    "video-classification": 'nothing here decodes video; send frames to "image-classification"',
    "visual-question-answering": 'transformers 5 dropped it; write "image-text-to-text"',
    "image-to-image": "transformers 5 dropped it, and images are generated by diffusers",
}
"""Tasks that transformers has or had and this library has not, each with the reason and what to do."""

OWN = ("text-ranking",)
"""Tasks that transformers has no pipeline for, and never had."""

ANSWER_KEYS = {
    "summarization": "summary_text",
    "translation": "translation_text",
    "text2text-generation": "generated_text",
}
"""Key of the text in the answers of transformers 4's encoder-decoder pipelines."""

DROPPED = ("summarization", "translation", "text2text-generation", "question-answering", "image-to-text")
"""Gone from transformers 5 (as is every translation_xx_to_yy); `hf_lambda.pipeline` still has them."""

DEFAULTS = {
    "text-classification": (
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "714eb0fa89d2f80546fda750413ed43d93601a13",
    ),
    "token-classification": (
        "dbmdz/bert-large-cased-finetuned-conll03-english",
        "4c534963167c08d4b8ff1f88733cf2930f86add0",
    ),
    "question-answering": (
        "distilbert/distilbert-base-cased-distilled-squad",
        "564e9b582944a57a3e586bbb98fd6f0a4118db7f",
    ),
    "fill-mask": ("distilbert/distilroberta-base", "fb53ab8802853c8e4fbdbcd0529f21fc6f459b2b"),
    "feature-extraction": ("distilbert/distilbert-base-cased", "6ea81172465e8b0ad3fddeed32b986cdcdcffcf0"),
    "zero-shot-classification": ("facebook/bart-large-mnli", "d7645e127eaf1aefc7862fd59a17a5aa8558b8ce"),
    "text-ranking": ("cross-encoder/ms-marco-MiniLM-L6-v2", "c5ee24cb16019beea0893ab7796b1df96625c6b8"),
    "text-generation": ("HuggingFaceTB/SmolLM3-3B", "a07cc9a04f16550a088caea529712d1d335b0ac1"),
    "summarization": ("sshleifer/distilbart-cnn-12-6", "a4f8f3ea906ed274767e9906dbaede7531d660ff"),
    "translation": ("google-t5/t5-base", "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1"),
    "text2text-generation": ("google-t5/t5-base", "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1"),
    "image-classification": ("google/vit-base-patch16-224", "3f49326"),
    "image-feature-extraction": ("google/vit-base-patch16-224", "3f49326"),
    "image-segmentation": ("facebook/detr-resnet-50-panoptic", "d53b52a"),
    "object-detection": ("facebook/detr-resnet-50", "1d5f47b"),
    "depth-estimation": ("Intel/dpt-large", "bc15f29"),
    "image-to-text": ("ydshieh/vit-gpt2-coco-en", "5bebf1e"),
    "zero-shot-image-classification": ("openai/clip-vit-base-patch32", "3d74acf"),
    "zero-shot-object-detection": ("google/owlvit-base-patch32", "cbc355f"),
    "keypoint-matching": ("magic-leap-community/superglue_outdoor", "f4041f8"),
    "document-question-answering": ("impira/layoutlm-document-qa", "beed3c4"),
    "image-text-to-text": ("Qwen/Qwen3-VL-2B-Instruct", "8964489"),
    "audio-classification": ("superb/wav2vec2-base-superb-ks", "372e048"),
    "automatic-speech-recognition": ("facebook/wav2vec2-base-960h", "22aad52"),
    "zero-shot-audio-classification": ("laion/clap-htsat-fused", "cca9e28"),
    "text-to-audio": ("suno/bark-small", "1dbd7a1"),
    "decision": ("Qwen/Qwen2.5-0.5B-Instruct", "7ae5576"),
}
"""Well-known model and commit per task: what transformers' own pipelines took and take.

Where these alone say which commit it is, it is as short as they write it.
"""

_TRANSLATION = re.compile(r"translation_([A-Za-z]+)_to_([A-Za-z]+)")
_DEFAULT_PAIRS = {("en", "fr"), ("en", "de"), ("en", "ro")}  # what T5 was trained on


def canonical(task: str) -> str:
    """The task's own name: aliases resolved, `translation_xx_to_yy` as it is. Raises ValueError."""
    name = ALIASES.get(task, task)
    if name in REFUSED:
        raise ValueError(f"the task {name!r} is not here: {REFUSED[name]}")
    if name not in HEADS and not _TRANSLATION.fullmatch(name):
        known = ", ".join([*TASKS, *ALIASES, "translation_xx_to_yy"])
        raise ValueError(f"unknown task {task!r}; known: {known}")
    return name


def base_of(task: str) -> str:
    """Like `canonical`, with every `translation_xx_to_yy` as `translation`."""
    name = canonical(task)
    return "translation" if _TRANSLATION.fullmatch(name) else name


def languages(task: str) -> tuple[str, str] | None:
    """`translation_en_to_fr` -> `("en", "fr")`; None for every other task."""
    match = _TRANSLATION.fullmatch(task)
    return (match[1], match[2]) if match else None


def head_of(task: str) -> str:
    """The kind of model that answers `task`, for instance `sequence-classification`."""
    return HEADS[base_of(task)]


def task_of_architecture(name: str) -> str | None:
    """What a class of transformers answers: `BertForMaskedLM` -> `fill-mask`; None: its name tells nothing.

    Not always one of TASKS: for "multiple choice" there is no pipeline.
    """
    return next((task for ending, task in _TASK_OF_ARCHITECTURE.items() if name.endswith(ending)), None)


def is_dropped(task: str) -> bool:
    return task in DROPPED or bool(_TRANSLATION.fullmatch(task))


def default_model(task: str) -> tuple[str, str]:
    """Model and commit of `task` where the script names none. Raises ValueError where there is none."""
    pair = languages(task)
    if task == "translation":
        raise ValueError('"translation" does not say between which languages: write "translation_en_to_fr"')
    if pair and pair not in _DEFAULT_PAIRS:
        example = f"Helsinki-NLP/opus-mt-{'-'.join(pair)}"
        raise ValueError(f"{task} has no default model; write model=..., for instance {example}")
    return DEFAULTS[base_of(task)]
