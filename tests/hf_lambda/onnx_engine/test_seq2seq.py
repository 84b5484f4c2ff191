"""Summarization, translation and text2text-generation: prepared models answer as the torch engine does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hf_lambda import onnx_engine, torch_engine
from hf_lambda.errors import BadRequest, Unprocessable
from tests.families import others_slow
from tests.tiny_seq2seq import FAMILIES, build, one_thread
from warmup.prepare import PrepareRequest, prepare

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")

TEXTS = [
    "I love this little cafe, the coffee is wonderful and the staff always smile.",
    "ok",
    "Rain is expected in the north.\nThe south stays  dry. naïve café 😀 今日は",
]
LONG = " ".join(["The train to Edinburgh leaves at 7:45 from platform 9."] * 40)
LANGUAGES = {"mbart": ("en_XX", "fr_XX"), "mbart50": ("en_XX", "fr_XX"), "m2m100": ("en", "fr")}
LANGUAGES["nllb"] = ("eng_Latn", "fra_Latn")
BEAMS = {"num_beams": 3, "length_penalty": 2.0, "no_repeat_ngram_size": 2, "early_stopping": True}
QUICK = ("bart",)
T5_TASKS = {
    "translation_en_to_fr": {"prefix": "translate English to French: ", "num_beams": 2, "max_length": 12},
    "summarization": {"prefix": "summarize: ", "max_length": 9, "min_length": 5},
}


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory):
    """`engines("bart", "summarization")` -> (ours, torch's), each model prepared once."""
    made: dict[str, tuple[Path, Path]] = {}

    def load(family: str, task: str, **config):
        key = f"{family} {config}"
        if key not in made:
            folder = tmp_path_factory.mktemp(family)
            snapshot = build(family, folder / "snapshot", **config)
            made[key] = (_prepared(task, snapshot, folder), snapshot)
        prepared, snapshot = made[key]
        return onnx_engine.load(task, prepared), torch_engine.load(task, snapshot)

    with one_thread():
        yield load


def _prepared(task: str, snapshot: Path, folder: Path) -> Path:
    request = PrepareRequest(task, "org/tiny", "0" * 40, snapshot, precision="fp32")
    return Path(prepare(request, into=folder, isolated=False).path)


@pytest.mark.parametrize(
    ("family", "task"),
    [
        # What differs by task differs in the shared loop, not in a family.
        pytest.param(
            family,
            task,
            marks=() if task == "summarization" and family in QUICK else pytest.mark.slow,
        )
        for family in FAMILIES
        for task in ("summarization", "translation", "text2text-generation")
    ],
)
def test_every_family_answers_every_task_as_torch_does(engines, family, task):
    ours, theirs = engines(family, task)
    translates = family in LANGUAGES and task == "translation"
    languages = dict(zip(("src_lang", "tgt_lang"), LANGUAGES[family], strict=True)) if translates else {}
    for options in ({"max_new_tokens": 12}, {**BEAMS, "max_length": 14}, {"min_length": 8, "max_length": 10}):
        assert ours(TEXTS, **languages, **options) == theirs(TEXTS, **languages, **options)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["m2m100", "nllb"])
def test_texts_beyond_a_table_of_positions_that_grows_are_read_as_torch_reads_them(engines, family):
    ours, theirs = engines(family, "translation", max_position_embeddings=40)
    source, target = LANGUAGES[family]
    options = {"src_lang": source, "tgt_lang": target, "max_new_tokens": 60, "min_new_tokens": 50}
    assert len(LONG.split()) > 40
    assert ours([LONG, "ok"], **options) == theirs([LONG, "ok"], **options)


def test_an_answer_does_not_depend_on_the_rest_of_the_list(engines):
    ours, _ = engines("bart", "summarization")
    together = ours([*TEXTS, *TEXTS[::-1]], max_length=12, **BEAMS)
    alone = [ours([text], max_length=12, **BEAMS)[0] for text in TEXTS]
    assert together == [*alone, *alone[::-1]]
    assert ours([]) == []


@pytest.mark.parametrize(
    ("options", "written"),
    [({}, 12), ({"num_beams": 3}, 36), ({"do_sample": True, "num_return_sequences": 2}, 24)],
)
def test_no_batch_holds_more_tokens_read_and_written_than_the_bound(engines, monkeypatch, options, written):
    ours, _ = engines("bart", "summarization")
    encode, shapes = ours._model.encode, []

    def watched(sources):
        crossed, mask = encode(sources)
        shapes.append(mask.shape)
        return crossed, mask

    monkeypatch.setattr(ours._model, "encode", watched)
    monkeypatch.setattr("hf_lambda.onnx_engine.generation.encoder_decoder.MAX_HELD_TOKENS", 250)
    assert len(ours(TEXTS * 4, max_length=12, **options)) == 12
    assert len(shapes) > 2
    assert max(rows * (source + written) for rows, source in shapes) <= 250


def test_several_sequences_for_one_text_come_as_a_list(engines):
    ours, theirs = engines("bart", "text2text-generation")
    options = {"num_beams": 4, "num_return_sequences": 3, "max_length": 10}
    answer = ours(TEXTS, **options)
    assert answer == theirs(TEXTS, **options)
    assert [len(sequences) for sequences in answer] == [3, 3, 3]
    assert all(set(record) == {"generated_text"} for sequences in answer for record in sequences)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["translation_en_to_fr", "summarization", "translation_en_to_de"])
def test_what_a_model_ships_for_a_task_is_used(engines, task):
    ours, theirs = engines("t5", task, task_specific_params=T5_TASKS)
    options = {} if task in T5_TASKS else {"max_new_tokens": 8}
    assert ours(TEXTS, **options) == theirs(TEXTS, **options)


@pytest.mark.parametrize("family", others_slow(["bart", "t5", "marian", "nllb"], "bart"))
def test_long_texts_are_cut_where_asked(engines, family):
    translates = family in LANGUAGES
    ours, theirs = engines(family, "translation" if translates else "summarization")
    languages = dict(zip(("src_lang", "tgt_lang"), LANGUAGES[family], strict=True)) if translates else {}
    options = {**languages, "truncation": True, "max_new_tokens": 8}
    assert ours([LONG, "ok"], **options) == theirs([LONG, "ok"], **options)


def test_a_text_longer_than_the_model_takes_is_refused(engines):
    ours, _ = engines("bart", "summarization")
    with pytest.raises(
        Unprocessable, match=r"the text has \d+ tokens, the model takes at most 160: shorten it"
    ):
        ours([LONG])


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"num_beams": 0}, "num_beams", "a whole number of at least 1"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences", "at most num_beams"),
        ({"num_return_sequences": 2}, "num_return_sequences", "1 without num_beams or do_sample"),
        ({"max_length": 500}, "max_length", "at most 161, what the model has positions for"),
        ({"max_new_tokens": 0}, "max_new_tokens", "a whole number of at least 1"),
        ({"early_stopping": "perhaps"}, "early_stopping", "true, false or 'never'"),
        ({"num_beam_groups": 2, "num_beams": 4}, "num_beam_groups", "an option of greedy, beam search or"),
        ({"do_sample": True, "temperature": 0.0}, "temperature", "a number above 0"),
        ({"do_sample": True, "top_p": 2.0}, "top_p", "a number from 0 to 1"),
        ({"suppress_tokens": [5], "forced_bos_token_id": 5}, "suppress_tokens", "none of the forced tokens"),
    ],
)
def test_an_option_that_cannot_be_names_the_field_and_what_it_takes(engines, options, field, expected):
    ours, _ = engines("bart", "summarization")
    with pytest.raises(BadRequest) as error:
        ours(["ok"], **options)
    assert error.value.field == field
    assert expected in error.value.expected


def test_a_language_that_the_model_has_not_is_refused(engines):
    ours, _ = engines("nllb", "translation")
    with pytest.raises(
        BadRequest, match=r"`tgt_lang`: expected one of the model's \d+ languages: .*given 'klingon'"
    ):
        ours(["ok"], src_lang="eng_Latn", tgt_lang="klingon")
    with pytest.raises(BadRequest, match="`src_lang`"):
        ours(["ok"], tgt_lang="fra_Latn")


def test_sampling_is_repeated_by_its_seed_whatever_else_is_in_the_list(engines):
    ours, _ = engines("bart", "summarization")
    options = {"do_sample": True, "max_new_tokens": 12, "top_k": 0, "temperature": 2.0}
    first = ours(TEXTS, seed=7, **options)
    assert first == ours(TEXTS, seed=7, **options)
    assert first[0] == ours(TEXTS[:1], seed=7, **options)[0]
    assert first != ours(TEXTS, seed=8, **options)
    assert len({str(ours(TEXTS, **options)) for _ in range(3)}) > 1


def test_the_slim_path_imports_neither_torch_nor_transformers(engines, tmp_path):
    snapshot = build("bart", tmp_path / "snapshot")
    prepared = _prepared("summarization", snapshot, tmp_path)
    program = (
        "import sys; from pathlib import Path; from hf_lambda import onnx_engine\n"
        f"engine = onnx_engine.load('summarization', Path({str(prepared)!r}))\n"
        "assert engine(['ok'], max_new_tokens=5)[0]['summary_text'] is not None\n"
        "heavy = {'torch', 'transformers', 'sentencepiece', 'onnx', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(onnx_engine.__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
