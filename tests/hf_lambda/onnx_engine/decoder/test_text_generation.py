"""text-generation without torch: the shapes, texts and errors of transformers' pipeline, and streams."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
import transformers

from hf_lambda import torch_engine
from hf_lambda.completion import Generated
from hf_lambda.errors import BadRequest, Unprocessable
from hf_lambda.onnx_engine.contract import DecoderContract
from hf_lambda.onnx_engine.decoder import text_generation
from tests.tiny_decoders import prepared, snapshot
from tests.tiny_seq2seq import one_thread

CHAT = [{"role": "user", "content": "Where does the train leave?"}]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    parent = tmp_path_factory.mktemp("generation")
    source = snapshot("qwen3", parent / "snapshot", max_position_embeddings=512)
    return source, prepared(source, parent / "prepared")


@pytest.fixture(scope="module")
def theirs(folders):
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield transformers.pipeline("text-generation", str(folders[0]), dtype="float32", device="cpu")


def _load(folders, **options):
    return text_generation.load(DecoderContract.read(folders[1]), folders[1], **options)


@pytest.fixture(scope="module")
def ours(folders):
    return _load(folders)


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_new_tokens": 12},
        {"max_new_tokens": 12, "return_full_text": False},
        {"max_length": 40, "repetition_penalty": 1.3},
        {"max_new_tokens": 12, "stop_sequence": " the"},
        {"max_new_tokens": 12, "stop_sequence": ["e", "zz"]},
        {"min_new_tokens": 5, "max_new_tokens": 9},
    ],
)
@pytest.mark.parametrize(
    "item", ["The train to Edinburgh leaves at", CHAT, [*CHAT, {"role": "assistant", "content": "It"}]]
)
def test_answers_are_those_of_transformers_pipeline(ours, theirs, item, parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ours([item], **parameters) == [theirs(item, **parameters)]


def test_a_batch_gives_what_each_input_gives_alone(ours):
    items = ["The train", CHAT, "ok", "The train to Edinburgh leaves at 7:45", "Rain is"]
    together = ours(items, max_new_tokens=10)
    assert together == [ours([item], max_new_tokens=10)[0] for item in items]


@pytest.mark.parametrize("context", [40, 512])
def test_texts_that_end_full_stand_beside_others_that_go_on(folders, context):
    """512: as long as the table of positions, which the graph checks."""
    engine = _load(folders, max_context=context)
    long = "The train to Edinburgh leaves at ten and " * 60
    tokens = engine._tokenizer.encode(long).ids[: context - 2]
    texts = [engine._tokenizer.decode(tokens), engine._tokenizer.decode(tokens[:9]), "The", "Where does it"]
    parameters = {"max_length": context, "eos_token_id": [], "return_full_text": False}
    assert engine(texts, **parameters) == [engine([text], **parameters)[0] for text in texts]


def test_more_inputs_than_fit_side_by_side_are_all_answered(ours, monkeypatch):
    items = [f"Text {at}" for at in range(7)]
    whole = ours(items, max_new_tokens=6)
    monkeypatch.setattr(text_generation, "MAX_ROWS", 3)
    assert ours(items, max_new_tokens=6) == whole


def test_a_text_that_the_functions_memory_cannot_hold_is_refused_before_it_is_read(folders, monkeypatch):
    """1 KiB a token: a quarter of 1 MB, which side by side may take in any case, holds 256 of them."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
    assert _load(folders)(["The train"], max_new_tokens=400)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")
    small = _load(folders)
    monkeypatch.setattr(small._model, "read", lambda *_: pytest.fail("it was read"))
    for ask in (
        lambda **given: small(["The train"], **given),
        lambda **given: small.complete_each(["The train"], **given)[0],
    ):
        with pytest.raises(
            Unprocessable, match=r"may grow to 4\d\d, the function's memory holds 256: shorten"
        ):
            ask(max_new_tokens=400)
    monkeypatch.undo()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")
    assert small(["The train"], max_new_tokens=20)


def test_memory_says_how_many_rows_grow_side_by_side(ours, monkeypatch):
    groups = []

    def counted(group, run=ours._side_by_side):
        groups.append(len(group))
        return run(group)

    monkeypatch.setattr(ours, "_side_by_side", counted)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
    ours(["a"] * 5, max_new_tokens=4)
    assert groups == [5]
    groups.clear()
    monkeypatch.setattr(text_generation, "_CACHE_SHARE", 0.0002)
    ours(["a"] * 5, max_new_tokens=10)
    assert sum(groups) == 5
    assert 1 <= max(groups) < 5


def test_sampling_is_repeatable_by_seed_and_differs_by_sequence(ours):
    asked = {"max_new_tokens": 12, "do_sample": True, "temperature": 2.0, "num_return_sequences": 3}
    first, again = (ours([CHAT], seed=5, **asked)[0] for _ in range(2))
    other = ours([CHAT], seed=6, **asked)[0]
    assert first == again != other
    assert len({json.dumps(record) for record in first}) == 3
    alone = ours(["x", CHAT], seed=5, **asked)[1]
    assert alone == first


def test_a_stop_text_ends_the_answer_before_it(ours):
    whole = ours(["The train"], max_new_tokens=20, return_full_text=False)[0][0]["generated_text"]
    stop = whole[6:9]
    cut = ours(["The train"], max_new_tokens=20, return_full_text=False, stop=[stop, "never there"])
    assert cut[0][0]["generated_text"] == whole[: whole.find(stop)]


def test_pieces_of_a_stream_make_up_the_answer_and_say_how_it_ended(ours):
    asked = {"max_new_tokens": 15}
    whole = ours([CHAT], return_full_text=False, **asked)[0][0]["generated_text"]
    completion = ours.complete_each([CHAT], **asked)[0]
    pieces = list(completion.pieces)
    assert len(pieces) > 3
    assert "".join(pieces) == whole
    assert completion.generated == [Generated(whole, "length", 15)]
    assert completion.generated == ours.complete_each([CHAT], **asked)[0].run().generated
    assert completion.prompt_tokens > 5


def test_a_stop_text_in_what_is_left_at_the_end_is_a_stop_too(ours, folders):
    half = transformers.AutoTokenizer.from_pretrained(folders[0]).convert_tokens_to_ids("ð")  # the byte F0
    asked = {"sequence_bias": [[[half], 1e6]], "max_new_tokens": 3, "do_sample": False}
    for stop, told in ((None, ("\ufffd" * 3, "length")), ("\ufffd", ("", "stop"))):
        [completion] = ours.complete_each(["The train"], **asked, stop=stop)
        pieces = "".join(completion.pieces)
        assert (pieces, completion.generated[0].finish) == told
        [whole] = ours.complete_each(["The train"], **asked, stop=stop)[0].run().generated
        assert (whole.text, whole.finish) == told


def test_a_stream_that_nobody_reads_to_its_end_leaves_the_engine_usable(ours):
    expected = ours(["The train to Edinburgh"], max_new_tokens=5)
    pieces = ours.complete_each(["The train to Edinburgh"], max_new_tokens=15)[0].pieces
    next(pieces)
    pieces.close()
    assert ours(["The train to Edinburgh"], max_new_tokens=5) == expected


def test_an_end_token_is_a_stop(ours):
    completion = ours.complete_each(["The train"], max_new_tokens=50, eos_token_id=list(range(400)))[0].run()
    assert [(one.finish, one.tokens) for one in completion.generated] == [("stop", 1)]


def test_every_text_of_a_prompt_is_told_of(ours):
    asked = {"max_new_tokens": 4, "do_sample": True, "num_return_sequences": 3, "seed": 1}
    completion = ours.complete_each(["The train"], **asked)[0].run()
    assert (len(completion.generated), completion.tokens) == (3, 12)


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(folders):
    engine = _load(folders, max_context=32)
    prompt = "the quick brown fox " * 20
    count = len(engine._tokenizer.encode(prompt).ids)
    with pytest.raises(
        Unprocessable,
        match=f"the prompt has {count} tokens, this endpoint holds 32 with the answer: shorten it",
    ):
        engine([prompt])
    with pytest.raises(Unprocessable, match=r"shorten it, or ask for at most 3\d new tokens"):
        engine(["ok"], max_new_tokens=33)
    assert engine(["ok"])  # what is not asked for is cut to what there is room for


def test_a_context_beyond_the_models_is_refused(folders):
    with pytest.raises(Unprocessable, match="max_context=9999: the model holds at most 512 tokens"):
        _load(folders, max_context=9999)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"num_beams": 3}, "num_beams"),
        ({"top_p": 3}, "top_p"),
        ({"suppress_tokens": [10**6]}, "suppress_tokens"),
        ({"max_words": 3}, "max_words"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"sequence_bias": [[[10**6], 1.0]]}, "sequence_bias"),
        ({"eos_token_id": 10**6}, "eos_token_id"),
    ],
)
def test_options_that_are_none_are_a_400_that_names_them(ours, parameters, field):
    with pytest.raises(BadRequest) as refused:
        ours(["ok"], **parameters)
    assert refused.value.field == field


def test_template_variables_reach_the_template(folders, tmp_path):
    copy = tmp_path / "prepared"
    copy.mkdir()
    for path in folders[1].iterdir():
        (copy / path.name).symlink_to(path)
    document = json.loads((folders[1] / "serving.json").read_text())
    document["chat_template"] = "{{ messages[0].content }}{{ enable_thinking }}{{ tools }}{{ documents }}"
    (copy / "serving.json").unlink()
    (copy / "serving.json").write_text(json.dumps(document))
    engine = text_generation.load(DecoderContract.read(copy), copy)
    given = {"tools": [1], "documents": [2], "chat_template_kwargs": {"enable_thinking": False}}
    completion = engine.complete_each([CHAT], **given)[0]
    assert completion.prompt_tokens == engine.count_tokens([CHAT[0]["content"] + "False[1][2]"])


SCHEMA = {
    "type": "object",
    "properties": {"to": {"enum": ["Leeds", "York"]}, "note": {"type": "string", "maxLength": 6}},
    "required": ["to", "note"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "train",
        "parameters": SCHEMA,
    },
}


@pytest.mark.parametrize(
    "asked",
    [
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"schema": SCHEMA},
            }
        },
    ],
    ids=["tools", "response_format"],
)
def test_on_torch_a_text_is_held_to_the_same_structure(ours, folders, asked):
    asked = {"max_new_tokens": 90, "return_full_text": False, **asked}
    on_torch: Any = torch_engine.load("text-generation", folders[0])
    ((here,), (again,)) = ours([CHAT, CHAT], **asked)
    ((there,),) = on_torch([CHAT], **asked)
    assert here == again == there
    text = here["generated_text"]
    assert json.loads(text[text.index('{"to"') : text.index("}") + 1])["to"] in ("Leeds", "York")
    for engine in (ours, on_torch):
        completion = engine.complete_each([CHAT], **asked)[0]
        assert "".join(completion.pieces) == text
        assert completion.generated[0].finish == "stop"


def test_what_was_generated_before_does_not_count_for_the_next_structure(ours):
    asked = {"response_format": {"type": "json_object"}, "max_new_tokens": 20, "return_full_text": False}
    assert ours([CHAT], **asked) == ours([CHAT], **asked)
    with pytest.raises(BadRequest, match="Invalid type"):
        ours.complete_each(
            [CHAT], response_format={"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}
        )


def test_several_prompts_are_computed_together_and_answered_as_alone(ours, folders, monkeypatch):
    prompts = ["The train", CHAT, "ok"]
    asked = {"max_new_tokens": 8, "do_sample": False}
    alone = [ours.complete_each([each], **asked)[0].run().generated for each in prompts]
    steps, step = [], ours._model.step

    def counted(tokens):
        steps.append(len(tokens))
        return step(tokens)

    monkeypatch.setattr(ours._model, "step", counted)
    assert [each.run().generated for each in ours.complete_each(prompts, **asked)] == alone
    assert steps[0] == 3
    theirs: Any = torch_engine.load("text-generation", folders[0])
    made = [each.run().generated for each in theirs.complete_each(prompts, **asked)]
    assert [[one.text for one in each] for each in made] == [[one.text for one in each] for each in alone]


def test_the_last_message_may_come_in_parts(ours, folders):
    chat = [*CHAT, {"role": "assistant", "content": [{"type": "text", "text": "It"}]}]
    asked = {"max_new_tokens": 4, "do_sample": False}
    plain = [*CHAT, {"role": "assistant", "content": "It"}]
    for engine in (ours, torch_engine.load("text-generation", folders[0])):
        [[of_parts]], [[of_text]] = engine([chat], **asked), engine([plain], **asked)
        content = of_parts["generated_text"][-1]["content"]
        content = content if isinstance(content, str) else "".join(part["text"] for part in content)
        assert content == of_text["generated_text"][-1]["content"]
