"""Language models in the benchmark: tokens a second of timed calls, models of the published sizes."""

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import __main__ as main
from bench import generation, report, workloads
from bench.contenders import Contender
from bench.contenders import contenders as contenders_of
from bench.figures import Measured
from bench.results import Results
from bench.warm import _varied
from bench.workloads import BATCH, LANGUAGE_MODELS, LONG_ANSWER, LONG_PROMPT, ONE_TOKEN, WORKLOADS
from hf_lambda.manifest import CachedFile, Manifest, PreparedEntry, write_manifest
from hf_lambda.records import Json

GENERATE = [workload for workload in WORKLOADS if workload.task == "text-generation"]
MEASURED = {ONE_TOKEN: [0.1, 0.1, 9.9], LONG_PROMPT: [2.0], LONG_ANSWER: [3.3], BATCH: [5.2]}


def test_seconds_a_token_are_those_of_the_prompt_of_the_answer_and_of_eight_answers():
    assert generation.figures(MEASURED) == pytest.approx(
        {"prompt_token_s": 2.0 / 512, "token_s": 3.2 / 64, "batch_token_s": 5.2 / (8 * 65)}
    )


def test_on_a_shared_machine_one_thread_alone_is_measured(monkeypatch):
    asked = []

    class Bench:
        cache = rivals = Path()

        def first(self, contender, workload, cpus=None):
            asked.append(cpus)
            return SimpleNamespace(peak_mb=500, seconds=7.0, cpu_s=6.0)

        def warm(self, contender, workload, repeats, cpus=None):
            asked.append(cpus)
            return MEASURED

    monkeypatch.setattr(generation, "weight_bytes", lambda *_: 10)
    monkeypatch.setattr(generation, "copied_bytes_per_s", lambda: 20.0)
    measured: dict[str, Any] = {}
    main._one_round(Bench(), None, GENERATE[0], measured, one_thread=True)  # type: ignore[arg-type]
    assert asked == ["0", "0"]
    assert "first_s" not in measured and "token_s" not in measured
    assert measured["one_cpu_first_s"] == [6.0]
    assert (measured["peak_mb"], measured["one_cpu_token_s"]) == ([500], [pytest.approx(3.2 / 64)])


def test_a_contender_is_left_out_where_asked_but_not_whom_all_are_compared_with(monkeypatch, tmp_path):
    measured: list[str] = []
    monkeypatch.setattr(main, "refused_precisions", lambda *_: {"int4"})
    monkeypatch.setattr(
        main, "_one_round", lambda bench, contender, *_, **__: measured.append(contender.name)
    )
    sizes: Any = defaultdict(lambda: SimpleNamespace(bytes=1))
    bench = SimpleNamespace(cache=tmp_path, generated=tmp_path, environments=sizes)
    results = Results(GENERATE[0], 1, "a machine", [], tmp_path)
    left_out = ["hf-lambda torch", "llama-cpp"]
    main._measure(bench, GENERATE[0], results, views=False, one_thread=True, without=left_out)  # type: ignore[arg-type]
    assert measured == ["ancestor", "hf-lambda int8", "ctranslate2"]
    with pytest.raises(SystemExit):
        main._parser().parse_args(["--without", "ancestor"])


def test_the_page_shows_tokens_a_second_and_what_a_million_of_them_cost():
    def field(token_s):
        return {
            "first_s": [8.0 * token_s],
            "peak_mb": [500.0],
            "token_s": [token_s],
            "one_cpu_token_s": [token_s],
            "prompt_token_s": [token_s / 10],
            f"warm:{ONE_TOKEN}": [token_s],
        }

    contenders = {"ancestor": field(0.1), "hf-lambda int8": field(0.02)}
    page = report.page([Measured("Qwen2.5-0.5B", 1, "a machine", contenders)]).splitlines()
    row = next(line for line in page if line.startswith("| hf-lambda int8"))
    assert "| 50.0 (5.0x) |" in row and "| 500.0 (5.0x) |" in row
    assert row.endswith(f"| {0.02 * 1_769 / 1024 * report.GB_SECOND_USD * 1e6:.2f} at 1,769 MB |")
    assert "| Qwen2.5-0.5B: answer tokens | 5x | 5.0x | | held |" in page
    assert "| Qwen2.5-0.5B: first token | 8x | 5.0x | | missed by 38 % |" in page
    assert any("random weights, greedy" in line for line in page)


def test_the_page_compares_with_llama_cpp_with_one_answer_and_with_the_memory():
    ours: dict[str, Json] = {
        "one_cpu_token_s": [0.02],
        "one_cpu_prompt_token_s": [0.002],
        "one_cpu_batch_token_s": [0.005],
    }
    ours |= {"weight_bytes": 1e8, "copied_bytes_per_s": [1e10, 2e10, 1e10]}
    theirs = {"one_cpu_token_s": [0.02], "one_cpu_prompt_token_s": [0.003]}
    torch: dict[str, Json] = {"one_cpu_token_s": [0.08], "one_cpu_prompt_token_s": [0.007]}
    field = {"ancestor": torch, "hf-lambda int8": ours, "llama-cpp": theirs}
    page = report.page([Measured("Qwen2.5-0.5B", 1, "a machine", field)])
    assert "| Qwen2.5-0.5B: prompt tokens on one CPU, llama.cpp's | 2x | 1.5x | | missed by 25 % |" in page
    assert "| Qwen2.5-0.5B: answer tokens on one CPU, llama.cpp's | 0.9x | 1.0x | | held |" in page
    assert "| Qwen2.5-0.5B: prompt tokens, one thread | 3x | 3.5x | | held |" in page
    assert "| Qwen2.5-0.5B: answer tokens, one thread | 5x | 4.0x | | missed by 20 % |" in page
    assert "| Qwen2.5-0.5B: tokens of eight answers on one CPU, those of one | 3x | 4.0x | | held |" in page
    row = next(line for line in page.splitlines() if line.startswith("| hf-lambda int8"))
    assert "| 50 % |" in row
    assert "| - |" in next(line for line in page.splitlines() if line.startswith("| llama-cpp"))


def test_the_weights_of_a_contender_are_what_its_files_hold(tmp_path):
    workload = GENERATE[0]
    for folder, size in (("ct2-language-models", 70), ("llama-cpp", 90)):
        target = tmp_path / folder / workload.model.partition("/")[2]
        target.mkdir(parents=True)
        (target / "model").write_bytes(b"0" * size)
        (target / "tokenizer.json").write_bytes(b"0")
    converted = Contender("llama-cpp", "m", tmp_path, "llama-cpp", is_converted=True)
    assert generation.weight_bytes(converted, workload, tmp_path, tmp_path) == 90
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "decoder.onnx.data").write_bytes(b"0" * 50)
    (tmp_path / "hub").mkdir()
    entry = PreparedEntry("causal-lm", "int8", "int8", "prepared", "x86_64", "1.32.0")
    files = (CachedFile("model.safetensors", 100), CachedFile("tokenizer.json", 7))
    write_manifest(tmp_path, Manifest(workload.model, "main", "c" * 40, "hub", files, 107, "now", (entry,)))
    seen = {
        name: generation.weight_bytes(Contender(name, "m", tmp_path, "slim"), workload, tmp_path, tmp_path)
        for name in ("ancestor", "hf-lambda torch", "hf-lambda int8")
    }
    assert seen == {"ancestor": 200, "hf-lambda torch": 100, "hf-lambda int8": 50}


def test_no_prompt_begins_as_the_one_before_it_and_none_is_longer():
    for workload in GENERATE:
        for event in workload.events.values():
            first, second = _varied(event, 0), _varied(event, 1)
            texts = [
                each["prompt"] if isinstance(each["prompt"], list) else [each["prompt"]]
                for each in (first, second)
            ]
            assert len({text[0] for text in texts[0] + texts[1]}) == 2 * len(texts[0])
            given = event["prompt"] if isinstance(event["prompt"], list) else [event["prompt"]]
            assert [len(text) for text in texts[1]] == [len(text) for text in given]
    assert _varied({"text": "a"}, 3) == {"text": "a"}


def test_everybody_is_asked_for_the_same_number_of_tokens(tmp_path):
    for workload in GENERATE:
        field = contenders_of(workload, tmp_path)
        assert [each.name for each in field] == [
            *("ancestor", "hf-lambda torch", "hf-lambda int4", "hf-lambda int8", "ctranslate2")
        ]
        for each in field:
            assert "min_" in (each.folder / f"{each.module}.py").read_text()


@pytest.mark.parametrize(("name", "millions"), [("bench/qwen2.5-0.5b", 494), ("bench/llama-3.2-1b", 1236)])
def test_the_models_have_as_many_parameters_as_the_published_ones(name, millions):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**LANGUAGE_MODELS[name]))
    assert round(sum(each.numel() for each in model.parameters()) / 1e6) == millions


def test_a_model_is_written_with_a_token_for_each_character(tmp_path, monkeypatch):
    from transformers import AutoTokenizer

    tiny = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    sizes = {**LANGUAGE_MODELS["bench/qwen2.5-0.5b"], **tiny, **heads}
    monkeypatch.setitem(workloads.LANGUAGE_MODELS, "bench/qwen2.5-0.5b", sizes)
    workloads.build(tmp_path, {"bench/qwen2.5-0.5b"})
    assert [path.name for path in (tmp_path / "bench").iterdir()] == ["qwen2.5-0.5b"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bench/qwen2.5-0.5b")
    prompt = GENERATE[0].events[LONG_PROMPT]["prompt"]
    assert len(tokenizer(prompt)["input_ids"]) == workloads.PROMPT_TOKENS
