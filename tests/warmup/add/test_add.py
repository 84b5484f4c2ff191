"""`python -m warmup add` and `remove`: the real Hub client against the embedded Hub."""

import ast
import importlib.util
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.utils._http import close_session

from discovery import read_scripts
from hf_lambda import tasks
from hf_lambda.pipeline import Pipeline
from local.hub import Hub, serve
from tests.warmup.add.repositories import (
    COMMIT,
    MODELS,
    OF_THE_EMBEDDED_HUB,
    SHAPE,
    Model,
    model,
    weights,
)
from warmup.__main__ import main
from warmup.add.script import literal

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Every model that the golden scripts are of."""
    root = tmp_path_factory.mktemp("models")
    for each in MODELS.values():
        each.write(root)
    hub = Hub(root)
    with serve(hub) as running:
        yield running
    close_session()


@pytest.fixture
def scripts(tmp_path):
    folder = tmp_path / "inference"
    folder.mkdir()
    return folder


@pytest.fixture
def command(hub, scripts, tmp_path, capsys):
    """Runs the command; returns exit code, stdout, stderr."""

    def run(*arguments):
        own = ["--kept", str(tmp_path / "removed")] if arguments[0] == "remove" else ["--hub", hub.url]
        code = main([*arguments, *own, "--scripts", str(scripts)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def offered(hub, tmp_path):
    """Puts one more model on the Hub."""

    def offer(each: Model) -> str:
        each.write(tmp_path / "more")
        hub.hub.repositories.update(Hub(tmp_path / "more").repositories)
        return each.repo_id

    return offer


@pytest.mark.parametrize("name", MODELS)
def test_the_script_of_a_model_is_the_one_that_is_shown(name, command, scripts):
    code, out, err = command("add", MODELS[name].repo_id, "--name", name.replace("_", "-"))
    assert code == 0, err
    written = (scripts / f"{name.replace('_', '-')}.py").read_text()
    assert written == (GOLDEN / f"{name}.py").read_text(), out


def test_every_task_that_is_served_has_a_script_that_is_shown():
    assert len(OF_THE_EMBEDDED_HUB) == 8
    shown = {script.pipelines[0].task for script in golden()}
    assert {tasks.base_of(task) for task in shown} == {*tasks.TASKS}


@cache
def golden():
    return read_scripts(GOLDEN)


@pytest.mark.parametrize("name", MODELS)
def test_a_script_that_is_shown_answers_the_event_that_it_is_asked_with(name, monkeypatch):
    (script,) = [each for each in golden() if each.name == name]
    spec = importlib.util.spec_from_file_location(name, script.path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (served,) = [each for each in vars(module).values() if isinstance(each, Pipeline)]
    monkeypatch.setattr(served, "_run", lambda items, parameters: [{"label": "A"} for _ in items])
    monkeypatch.setattr(served, "stream", lambda prompt, **_: iter([prompt]))
    if script.speaks_openai:
        assert script.example["messages"]
        return
    answer = module.handler(script.example, None)
    assert answer["statusCode"] == 200, answer


def test_it_says_what_the_endpoint_will_be(command):
    code, out, _ = command("add", "sentence-transformers/all-MiniLM-L6-v2", "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["name"], report["engine"], report["image"]) == ("all-minilm-l6-v2", "prepared", "slim")
    assert (report["commit"], report["licence"]) == (COMMIT, "mit")
    assert report["download_bytes"] == sum(
        len(content) if isinstance(content, bytes) else len(json.dumps(content))
        for content in [
            weights(),
            MODELS["embedded_embedder"].config,
            *MODELS["embedded_embedder"].files.values(),
        ]
    )
    code, out, _ = command("add", "org/gpt2")
    assert "torch: gpt2 models are not prepared for text-generation; these are: gemma" in out
    assert "image     full" in out and "licence   mit" in out and "make remove NAME=gpt2" in out


@pytest.mark.parametrize(
    ("parts", "engine", "why"),
    [
        (
            {"encoder": {"model_type": "donut-swin"}, "decoder": {"model_type": "mbart"}},
            "prepared",
            "compares",
        ),
        ({"encoder": {"model_type": "vit"}, "decoder": {"model_type": "gpt2"}}, "torch", "decoder is a gpt2"),
        (
            {"encoder": {"model_type": "clip"}, "decoder": {"model_type": "trocr"}},
            "torch",
            "encoder is a clip",
        ),
        ({"decoder": {"model_type": "trocr"}}, "torch", "its encoder is of no model_type"),
    ],
)
def test_a_model_of_two_parts_is_forecast_by_both(command, offered, parts, engine, why):
    name = f"org/{engine}-{'-'.join(sorted(parts))}-{why.split()[-1]}"
    offered(model(name, "vision-encoder-decoder", "VisionEncoderDecoderModel", "image-to-text", **parts))
    code, out, err = command("add", name)
    assert code == 0, err
    assert f"{engine}: " in out and why in out


def test_the_figures_are_those_of_the_models_that_were_measured(command, offered):
    """67 million parameters: docs/cost.md has 5 ms and $0.44, bench/results.md 68 MB to read."""
    shape: dict[str, Any] = {"vocab_size": 30522, "dim": 768, "id2label": {"0": "A", "1": "B"}}
    big = {"model.safetensors": weights(66_955_010)}
    architecture = "DistilBertForSequenceClassification"
    offered(model("org/full", "distilbert", architecture, "text-classification", files=big, **shape))
    report = json.loads(command("add", "org/full", "--json")[1])
    assert report["warm_ms"] == pytest.approx(4.9, abs=0.05)
    assert report["usd_per_million"] == pytest.approx(0.44, abs=0.005)
    assert report["cold_read_bytes"] == pytest.approx(70e6, rel=0.02)
    assert 118 < report["needs_mb"] < 400 and report["memory_mb"] == 3008


def test_what_runs_once_for_each_label_or_document_is_priced_so(command):
    assert "a short text and document, warm" in command("add", "cross-encoder/ms-marco")[1]


@pytest.mark.parametrize(
    ("architecture", "engine"),
    [("Qwen3ForCausalLM", "prepared"), ("Qwen3ForSequenceClassification", "torch")],
)
def test_a_language_model_that_ranks_is_known_by_its_tag(command, offered, scripts, architecture, engine):
    labels: dict[str, Any] = {} if engine == "prepared" else {"id2label": {"0": "LABEL_0"}}
    offered(model(f"org/rank-{engine}", "qwen3", architecture, "text-ranking", **SHAPE, **labels))
    code, out, err = command("add", f"org/rank-{engine}", "--json")
    assert code == 0, err
    assert (json.loads(out)["task"], json.loads(out)["engine"]) == ("text-ranking", engine)
    assert 'pipeline(\n    "text-ranking"' in (scripts / f"rank-{engine}.py").read_text()


def test_a_large_model_is_told_how_much_memory_it_needs(command, offered):
    big = {"model.safetensors": weights(2_500_000_000)}
    offered(model("org/large", "llama", "LlamaForCausalLM", "text-generation", files=big, **SHAPE))
    code, out, err = command("add", "org/large")
    assert code == 0, err
    assert "note: pulumi config set --path endpoints.large.memoryMb 4224" in out


def _table_at(path: str) -> Model:
    module = {"idx": 0, "name": "0", "path": path, "type": "sentence_transformers.models.StaticEmbedding"}
    files = {"modules.json": [module], "config.json": None, "0_Static/tokenizer.json": "{}"}
    return Model("org/astray", {}, {"library_name": "sentence-transformers"}, files)


REFUSED = {
    "no tokenizer.json beside its table": _table_at("../../0_Static"),
    "neither the card nor config.json": Model("org/silent", {"model_type": "bert"}, {}, {}),
    "says its task is text-to-image, its library diffusers": model(
        "org/diffusion", "unet", "UNet", "text-to-image", card={"library_name": "diffusers"}
    ),
    'write "image-segmentation" or "object-detection"': model(
        "org/sam", "sam", "SamModel", "mask-generation"
    ),
    "is an adapter of org/base, not a model": Model(
        "org/lora",
        {},
        {"pipeline_tag": "text-generation"},
        {
            "config.json": None,
            "model.safetensors": None,
            "adapter_config.json": {"base_model_name_or_path": "org/base"},
            "adapter_model.safetensors": weights(),
        },
    ),
    "has only model.gguf": Model(
        "org/gguf",
        {"model_type": "llama"},
        {"pipeline_tag": "text-generation"},
        {"model.gguf": "GGUF", "model.safetensors": None},
    ),
    "has no tokenizer": model(
        "org/mute", "bert", "BertForSequenceClassification", "text-classification", text=False
    ),
    "no label that begins with 'entail'": model(
        "org/nli", "bert", "BertForSequenceClassification", "zero-shot-classification"
    ),
    "was trained for fill-mask (['BertForMaskedLM']), not for text-classification": model(
        "org/headless", "bert", "BertForMaskedLM", "text-classification"
    ),
    "a Lambda function has at most 10,240": model(
        "org/huge",
        "gpt2",
        "GPT2LMHeadModel",
        "text-generation",
        files={"model.safetensors": weights(7_000_000_000)},
    ),
    "does not say between which languages": model(
        "org/t5", "t5", "T5ForConditionalGeneration", "translation"
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_model_that_cannot_be_served_says_why_and_nothing_is_written(why, command, offered, scripts):
    code, out, err = command("add", offered(REFUSED[why]))
    assert code in (1, 2) and not out
    assert why in err and len(err.splitlines()) == 1
    assert not list(scripts.iterdir())


def test_a_task_that_is_asked_for_counts_and_an_unknown_one_is_told(command, scripts):
    code, _, err = command("add", "google-t5/t5-base", "--task", "summarization")
    assert code == 0, err
    assert 'pipeline(\n    "summarization",' in (scripts / "t5-base.py").read_text()
    code, _, err = command("add", "google-t5/t5-base", "--task", "juggling", "--name", "other")
    assert code == 1 and "TASK is juggling: unknown task 'juggling'; known: text-classification" in err


def test_other_directions_of_a_translator_are_named(command):
    _, out, _ = command("add", "google-t5/t5-base")
    assert "note: it was trained for other tasks too: TASK=translation_en_to_fr" in out


def test_nothing_is_overwritten_unless_it_is_asked_for(command, scripts):
    (scripts / "bert.py").write_text("mine")
    code, _, err = command("add", "org/bert")
    assert code == 2 and "bert.py is there already: write NAME=another, or FORCE=1" in err
    (scripts / "be-rt.py").write_text("mine")
    code, _, err = command("add", "org/bert", "--name", "Be_rt")
    assert code == 2 and "be-rt.py is there already: write NAME=another" in err
    assert {path.read_text() for path in scripts.iterdir()} == {"mine"}
    assert command("add", "org/bert", "--force")[0] == 0
    assert (scripts / "bert.py").read_text() == (GOLDEN / "feature_extraction.py").read_text()


@pytest.mark.parametrize("name", ["../x", "1x", "torch", "a b", "x" * 41, ""])
def test_names_that_no_script_can_have_are_refused(name, command, scripts):
    code, _, err = command("add", "org/bert", f"--name={name}")
    assert (code == 2 and "NAME=" in err) or (not name and code == 0)
    assert [path.name for path in scripts.parent.rglob("*.py")] == ([] if name else ["bert.py"])


def test_remove_takes_away_what_add_wrote_and_keeps_a_copy_each_time(command, scripts, tmp_path):
    for number in range(2):
        assert command("add", "org/bert")[0] == 0
        (scripts / "bert.py").write_text(f"# {number}\n")
        code, out, _ = command("remove", "bert")
        assert code == 0 and "a copy lies in" in out and not (scripts / "bert.py").exists()
    copies = sorted((tmp_path / "removed").iterdir())
    assert sorted(path.read_text() for path in copies) == ["# 0\n", "# 1\n"]
    code, _, err = command("remove", "bert")
    assert code == 2 and "there is no such script" in err
    assert command("remove", "../removed/bert")[0] == 2


HOSTILE = (
    *(
        '"""\nimport os\nos.system("x")\n"""',
        "'''",
        "\\",
        "\\'",
        "a\rimport os",
        "\u2028import os",
        "\x0cimport os",
    ),
    *(
        "{os}",
        "%s",
        "\ud800",
        "\x1b[2J\x07",
        "\u202eevil",
        "# x\n@endpoint",
        "\0",
        "x" * 1990,
        "é" * 700 + "\"'",
    ),
)


@pytest.mark.parametrize("evil", HOSTILE)
def test_what_a_card_says_is_never_code(evil, scripts):
    config = {
        "model_type": "bert",
        "architectures": ["BertForQuestionAnswering"],
        "id2label": {"0": evil, "1": evil},
        "task_specific_params": {evil: evil},
    }
    card = {
        "pipeline_tag": "question-answering",
        "license": evil,
        "library_name": evil,
        "language": [evil],
        "widget": [{"text": evil, "context": evil}],
    }
    # As JSON alone: YAML cannot say everything.
    each = Model("org/evil", config, {}, {"tokenizer.json": {"model": {"vocab": {"a": 0}}}})
    each.write(scripts.parent / "evil")
    (scripts.parent / "evil/org/evil/README.md").write_text(
        f"---\n{json.dumps(card)}\n---\n", encoding="utf-8", errors="surrogatepass"
    )
    with serve(Hub(scripts.parent / "evil")) as running:
        code = main(["add", "org/evil", "--hub", running.url, "--scripts", str(scripts)])
    assert code == 0
    text = (scripts / "evil.py").read_text()
    tree = ast.parse(text)
    assert [type(node).__name__ for node in tree.body] == SHAPE_OF_A_SCRIPT
    assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} <= NAMES
    [example] = [node for node in tree.body if isinstance(node, ast.Assign) and _is_event(node)]
    if evil.strip() and "\ud800" not in evil:  # UTF-8 has no such character
        assert ast.literal_eval(example.value) == {"question": evil, "context": evil}


def _is_event(node):
    return node.targets[0].id == "EXAMPLE"


NAMES = {"pipeline", "endpoint", "answer", "EXAMPLE", "question", "context", "top_k", "str", "int", "object"}
SHAPE_OF_A_SCRIPT = ["Expr", "ImportFrom", "Assign", "Assign", "FunctionDef"]


@pytest.mark.parametrize("evil", [*HOSTILE, ["a", {"b": None}], {"k\n": "v"}, 1.5, True, None])
@pytest.mark.parametrize("indent", [0, 40, 90])
def test_a_literal_is_read_back_as_it_was(evil, indent):
    assert ast.literal_eval(literal(evil, indent)) == evil
    assert ast.literal_eval(literal({"a": [evil, evil]}, indent)) == {"a": [evil, evil]}


def test_nothing_that_moves_the_cursor_reaches_the_terminal(command, offered):
    card = {"license": "\x1b[2Jmit", "library_name": "\x1b[2J"}
    labels = {"0": "\x1b]0;evil\x07", "1": "a\nb"}
    offered(
        model(
            "org/escape",
            "bert",
            "BertForSequenceClassification",
            "text-classification",
            card=card,
            id2label=labels,
        )
    )
    code, out, err = command("add", "org/escape", "--force")
    assert code == 0
    assert all(each.isprintable() for line in (out + err).split("\n") for each in line)
    assert "mit" in out


def test_it_needs_neither_torch_nor_transformers():
    modules = "{'torch', 'transformers', 'onnxruntime'} & set(sys.modules)"
    check = f"import sys, warmup.__main__, warmup.worker.hub; print(sorted({modules}))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
