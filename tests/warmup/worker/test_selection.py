"""Which files of a repository are kept."""

import json

import pytest
from huggingface_hub.utils._paths import filter_repo_objects

from tests.warmup.support import remote
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.models import Use
from warmup.worker.selection import select, select_for, weight_index

TREE = ("config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "onnx/a/c.json", "a.png")
BASICS = {"config.json", "tokenizer.json", "vocab.txt", "special_tokens_map.json", "tokenizer_config.json"}


def kept(*paths: str, index: str | None = None) -> set[str]:
    return {file.path for file in select("org/name", [remote(path) for path in paths], index)}


def test_safetensors_are_taken_and_no_other_format() -> None:
    others = {"pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "rust_model.ot", "model.onnx"}
    assert kept(*BASICS, "model.safetensors", *others) == BASICS | {"model.safetensors"}


def test_a_first_module_in_a_folder_of_its_own_takes_the_place_of_a_model() -> None:
    table = {"0_StaticEmbedding/model.safetensors", "0_StaticEmbedding/tokenizer.json", "modules.json"}
    assert kept(*table, "onnx/model.onnx") == table
    with pytest.raises(WarmupError, match="org/name"):
        kept("modules.json", "2_Dense/model.safetensors", "config.json")


def test_pickle_is_taken_only_where_there_is_nothing_else() -> None:
    assert kept("config.json", "pytorch_model.bin", "tf_model.h5") == {"config.json", "pytorch_model.bin"}


def test_what_neither_transformers_nor_a_tokenizer_reads_is_left() -> None:
    left = {
        *(
            "README.md",
            "LICENSE",
            ".gitattributes",
            "training_args.bin",
            "trainer_state.json",
            "optimizer.pt",
        ),
        *("all_results.json", "onnx/model.onnx", "onnx/config.json", "openvino/openvino_model.bin", "a.png"),
        *(
            "model.fp16.safetensors",
            "requirements.txt",
            "checkpoint-500/model.safetensors",
            "coreml/x.mlmodel",
        ),
    }
    assert kept(*BASICS, "model.safetensors", *left) == BASICS | {"model.safetensors"}


TOKENIZERS = [
    "spiece.model",
    "spm.model",
    "source.spm",
    "target.spm",
    "merges.txt",
    "sentencepiece.bpe.model",
    "bpe.codes",
    "x.tiktoken",
]
TEMPLATES = ["chat_template.jinja", "additional_chat_templates/tool_use.jinja"]


@pytest.mark.parametrize("path", [*TOKENIZERS, *TEMPLATES, "modeling_own.py", "generation_config.json"])
def test_every_kind_of_tokenizer_config_and_template_is_kept(path: str) -> None:
    assert path in kept("config.json", "model.safetensors", path)


def test_a_sharded_model_comes_with_its_index_and_all_shards() -> None:
    shards = {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    index = "model.safetensors.index.json"
    bins = ["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"]
    assert kept("config.json", index, *shards, *bins) == {"config.json", index} | shards


def test_the_index_decides_between_two_shardings() -> None:
    two = {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    three = {f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)}
    index = json.dumps({"weight_map": {f"layer.{name}": name for name in three}})
    name = "model.safetensors.index.json"
    assert kept("config.json", name, *two, *three, index=index) == {"config.json", name} | three


def test_the_weight_index_is_named_only_for_sharded_weights() -> None:
    sharded = [remote("pytorch_model.bin.index.json"), remote("pytorch_model-00001-of-00001.bin")]
    assert weight_index(sharded) == "pytorch_model.bin.index.json"
    assert weight_index([remote("model.safetensors")]) is None


def test_modules_of_sentence_transformers_are_kept_with_one_weight_format_each() -> None:
    modules = {"modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json"}
    dense = {"2_Dense/model.safetensors"}
    paths = {
        *modules,
        *dense,
        "2_Dense/pytorch_model.bin",
        "config.json",
        "model.safetensors",
        "docs/config.json",
    }
    assert kept(*paths) == modules | dense | {"config.json", "model.safetensors"}


def test_numbered_folders_without_modules_json_are_left() -> None:
    assert kept("config.json", "model.safetensors", "1_Old/config.json") == {
        "config.json",
        "model.safetensors",
    }


def test_an_adapter_is_taken_where_there_are_no_whole_weights() -> None:
    adapter = {"adapter_config.json", "adapter_model.safetensors"}
    assert kept(*adapter, "adapter_model.bin") == adapter


def test_a_repository_without_loadable_weights_is_refused_by_name() -> None:
    with pytest.raises(
        WarmupError, match=r"org/name: expected model\.safetensors .* only model\.gguf, tf_model\.h5"
    ):
        kept("config.json", "tf_model.h5", "model.gguf")
    with pytest.raises(WarmupError, match="has no weights at all"):
        kept("config.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": [1]}', "[" * 100_000, "null"]
)
def test_an_index_without_a_weight_map_is_refused(text: str) -> None:
    names = ["config.json", "model.safetensors.index.json", "model-00001-of-00001.safetensors"]
    with pytest.raises(WarmupError, match="has no weight_map") as raised:
        kept(*names, index=text or " ")
    assert raised.value.kind is ErrorKind.NO_WEIGHTS


def kept_for(*uses: Use, paths: tuple[str, ...] = TREE) -> set[str]:
    return {file.path for file in select_for("org/name", [remote(path) for path in paths], uses)}


def test_a_whole_snapshot_is_whole() -> None:
    assert kept_for(Use("feature-extraction", files=("*",))) == set(TREE)


def test_patterns_are_those_of_the_hubs_client() -> None:
    for allowed, left_out in [
        (("*.json",), ()),
        (("onnx/*", "a.png"), ("*.json",)),
        (("onnx/",), ()),
        (("*",), ("onnx/", "*.bin")),
    ]:
        theirs = set(filter_repo_objects(TREE, allow_patterns=[*allowed], ignore_patterns=[*left_out]))
        assert kept_for(Use("feature-extraction", files=allowed, left_out=left_out)) == theirs != set()


def test_what_one_script_downloads_comes_beside_what_another_loads() -> None:
    both = kept_for(Use("fill-mask"), Use("feature-extraction", files=("onnx/model.onnx",)))
    assert both == kept_for(Use("fill-mask")) | {"onnx/model.onnx"}


def test_files_alone_need_no_weights_and_files_that_are_not_there_are_named() -> None:
    assert kept_for(Use("feature-extraction", files=("x.gguf",)), paths=("x.gguf", "y.gguf")) == {"x.gguf"}
    with pytest.raises(WarmupError, match=r"org/name has no file that fits z\.gguf"):
        kept_for(Use("feature-extraction", files=("z.gguf",)), paths=("x.gguf",))
