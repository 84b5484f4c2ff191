"""Repositories as they lie on the Hub, with configs of real models and weights of a few bytes."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKENIZER = {"tokenizer.json": {"model": {"vocab": {str(number): number for number in range(30)}}}}


@dataclass(frozen=True)
class Model:
    """`card`: README's front matter. `files`: JSON, text or bytes by path, beside config and weights; None:
    not there."""

    repo_id: str
    config: dict[str, Any]
    card: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)

    def write(self, root: Path) -> None:
        folder = root / self.repo_id
        folder.mkdir(parents=True)
        front = yaml.safe_dump(self.card, allow_unicode=True)
        files = {"README.md": f"---\n{front}---\n# A model", ".commit": COMMIT, "config.json": self.config}
        for path, content in {**files, "model.safetensors": weights(), **self.files}.items():
            if content is None:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                target.write_text(content if isinstance(content, str) else json.dumps(content))


def weights(parameters: int = 8) -> bytes:
    """A file of safetensors with one tensor; its data is not written where it would be large."""
    size = 4 * parameters
    header = {"weight": {"dtype": "F32", "shape": [parameters], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"\0" * min(size, 1024)


def model(
    repo_id: str, family: str, architecture: str, task: str | None, *, text: bool = True, **more: Any
) -> Model:
    card = {"pipeline_tag": task, "license": "mit", **more.pop("card", {})}
    files = {**(TOKENIZER if text else {}), **more.pop("files", {})}
    config = {"model_type": family, "architectures": [architecture], **more}
    return Model(repo_id, config, {key: value for key, value in card.items() if value}, files)


NLI: dict[str, Any] = {"id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"}}
EMBEDDER: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True},
}
T5: dict[str, Any] = {
    "task_specific_params": {"summarization": {}, "translation_en_to_de": {}, "translation_en_to_fr": {}}
}
SHAPE: dict[str, Any] = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 16,
    "max_position_embeddings": 8192,
}

OF_THE_EMBEDDED_HUB = {
    "embedded_sentiment": model(
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        "distilbert",
        "DistilBertForSequenceClassification",
        "text-classification",
        id2label={"0": "NEGATIVE", "1": "POSITIVE"},
    ),
    "embedded_summarizer": model(
        "sshleifer/distilbart-cnn-12-6",
        "bart",
        "BartForConditionalGeneration",
        "summarization",
        files={"pytorch_model.bin": "PK", "model.safetensors": None},
    ),
    "embedded_translator": model(
        "google-t5/t5-base", "t5", "T5ForConditionalGeneration", "translation", **T5
    ),
    "embedded_topics": model(
        "facebook/bart-large-mnli", "bart", "BartForSequenceClassification", "zero-shot-classification", **NLI
    ),
    "embedded_names": model(
        "dslim/bert-base-NER", "bert", "BertForTokenClassification", "token-classification"
    ),
    "embedded_chat": model(
        "HuggingFaceTB/SmolLM2-360M-Instruct",
        "llama",
        "LlamaForCausalLM",
        "text-generation",
        files={"tokenizer_config.json": {"chat_template": "{{ messages }}"}},
        **SHAPE,
    ),
    "embedded_shapes": model(
        "google/vit-base-patch16-224", "vit", "ViTForImageClassification", "image-classification", text=False
    ),
    "embedded_embedder": model(
        "sentence-transformers/all-MiniLM-L6-v2",
        "bert",
        "BertModel",
        "sentence-similarity",
        files=EMBEDDER,
        card={"library_name": "sentence-transformers", "language": "en"},
    ),
}
OF_EVERY_TASK = {
    "text_classification": model(
        "org/emotions",
        "roberta",
        "RobertaForSequenceClassification",
        None,
        card={"language": ["de"]},
        problem_type="multi_label_classification",
    ),
    "text_ranking": model(
        "cross-encoder/ms-marco",
        "bert",
        "BertForSequenceClassification",
        "text-ranking",
        id2label={"0": "LABEL_0"},
    ),
    "question_answering": model(
        "org/questions",
        "xlm-roberta",
        "XLMRobertaForQuestionAnswering",
        "question-answering",
        card={"widget": [{"text": "Who?", "context": "It was I."}]},
    ),
    "fill_mask": model(
        "org/camembert",
        "camembert",
        "CamembertForMaskedLM",
        "fill-mask",
        card={"language": "fr"},
        files={"tokenizer_config.json": {"mask_token": {"content": "<mask>"}}},
    ),
    "feature_extraction": model("org/bert", "bert", "BertModel", "feature-extraction"),
    "feature_extraction_static": Model(
        "org/static",
        {},
        {"library_name": "sentence-transformers", "license": "mit"},
        {
            "config.json": None,
            "model.safetensors": None,
            "modules.json": [
                {
                    "idx": 0,
                    "name": "0",
                    "path": "0_StaticEmbedding",
                    "type": "sentence_transformers.models.StaticEmbedding",
                }
            ],
            "0_StaticEmbedding/model.safetensors": weights(),
            "0_StaticEmbedding/tokenizer.json": TOKENIZER["tokenizer.json"],
        },
    ),
    "text_generation": model("org/gpt2", "gpt2", "GPT2LMHeadModel", "text-generation"),
    "translation": model(
        "facebook/nllb-200-distilled-600M", "m2m_100", "M2M100ForConditionalGeneration", "translation"
    ),
    "translation_pair": model("Helsinki-NLP/opus-mt-zh-en", "marian", "MarianMTModel", "translation"),
    "text2text_generation": model("org/flan", "t5", "T5ForConditionalGeneration", "text2text-generation"),
    "image_feature_extraction": model(
        "org/dinov2", "dinov2", "Dinov2Model", "image-feature-extraction", text=False
    ),
    "image_segmentation": model(
        "org/segformer", "segformer", "SegformerForSemanticSegmentation", "image-segmentation", text=False
    ),
    "object_detection": model("org/detr", "detr", "DetrForObjectDetection", "object-detection", text=False),
    "depth_estimation": model("org/dpt", "dpt", "DPTForDepthEstimation", "depth-estimation", text=False),
    "zero_shot_image_classification": model(
        "org/clip", "clip", "CLIPModel", "zero-shot-image-classification"
    ),
    "zero_shot_object_detection": model(
        "org/owlvit", "owlvit", "OwlViTForObjectDetection", "zero-shot-object-detection"
    ),
    "keypoint_matching": model(
        "org/superglue", "superglue", "SuperGlueForKeypointMatching", "keypoint-matching", text=False
    ),
    "document_question_answering": model(
        "org/layoutlm", "layoutlm", "LayoutLMForQuestionAnswering", "document-question-answering"
    ),
    "image_to_text": model(
        "microsoft/trocr-small",
        "vision-encoder-decoder",
        "VisionEncoderDecoderModel",
        "image-to-text",
        encoder={"model_type": "vit"},
        decoder={"model_type": "trocr"},
    ),
    "image_text_to_text": model("org/llava", "llava", "LlavaForConditionalGeneration", "image-text-to-text"),
    "audio_classification": model(
        "org/ast", "audio-spectrogram-transformer", "ASTForAudioClassification", "audio-classification"
    ),
    "automatic_speech_recognition": model(
        "openai/whisper-tiny", "whisper", "WhisperForConditionalGeneration", "automatic-speech-recognition"
    ),
    "zero_shot_audio_classification": model(
        "org/clap", "clap", "ClapModel", "zero-shot-audio-classification"
    ),
    "decision": model("org/decider", "llama", "LlamaForCausalLM", "decision", **SHAPE),
    "text_to_audio": model("facebook/mms-tts-eng", "vits", "VitsModel", "text-to-speech"),
}
MODELS = {**OF_THE_EMBEDDED_HUB, **OF_EVERY_TASK}
