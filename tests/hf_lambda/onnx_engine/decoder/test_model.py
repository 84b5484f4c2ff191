"""The cache of a language model: what is read once is not read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf_lambda.onnx_engine.decoder.model import CHUNK, Model
from tests.tiny_decoders import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write("gemma3", folder, 160, max_position_embeddings=1024)
    return folder


class Counting(Model):
    """Counts the tokens that the graph reads."""

    read_tokens = 0

    def _run(self, first, end, ids, asked):
        self.read_tokens += ids.size
        return super()._run(first, end, ids, asked)


@pytest.fixture
def model(folder):
    return Counting(folder, 900)


def _tokens(count, seed=0):
    return np.random.default_rng(seed).integers(3, 160, count).tolist()


def _alone(folder, tokens):
    return Model(folder, 900).read(0, tokens)


def test_a_prompt_that_goes_on_from_the_last_one_reads_what_is_new_alone(folder, model):
    first = _tokens(50)
    model.read(0, first)
    longer = first + _tokens(8, seed=1)
    model.read_tokens = 0
    scores = model.read(0, longer)
    assert model.read_tokens == 8
    assert np.allclose(scores, _alone(folder, longer), atol=1e-4)


def test_what_was_generated_counts_as_read(folder, model):
    prompt = _tokens(20)
    model.read(0, prompt)
    for token in (5, 6, 7):
        model.step([token])
    model.read_tokens = 0
    scores = model.read(0, [*prompt, 5, 6, 7, 8, 9])
    assert model.read_tokens == 2
    assert np.allclose(scores, _alone(folder, [*prompt, 5, 6, 7, 8, 9]), atol=1e-4)


def test_a_prompt_that_turns_off_keeps_the_common_beginning(folder, model):
    common = _tokens(30)
    model.read(0, common + _tokens(10, seed=1))
    other = common + _tokens(12, seed=2)
    model.read_tokens = 0
    scores = model.read(0, other)
    assert model.read_tokens == 12
    assert np.allclose(scores, _alone(folder, other), atol=1e-4)


def test_the_same_prompt_again_reads_its_last_token_alone(folder, model):
    prompt = _tokens(30)
    before = model.read(0, prompt)
    model.read_tokens = 0
    assert np.allclose(model.read(0, prompt), before, atol=1e-5)
    assert model.read_tokens == 1
    model.read_tokens = 0
    model.read(0, prompt[:10])
    assert model.read_tokens == 1


def test_another_row_takes_the_beginning_from_the_row_that_has_it(folder, model):
    common = _tokens(40)
    model.read(0, common + _tokens(3, seed=1))
    other = common + _tokens(5, seed=2)
    model.read_tokens = 0
    scores = model.read(1, other)
    assert model.read_tokens == 5
    assert np.allclose(scores, _alone(folder, other), atol=1e-4)
    assert np.allclose(
        model.read(0, common + _tokens(3, seed=1)), _alone(folder, common + _tokens(3, seed=1)), atol=1e-4
    )


def test_prompts_longer_than_a_chunk_are_read_in_chunks_and_come_out_the_same(folder, model, monkeypatch):
    long = _tokens(CHUNK + 44)
    scores = model.read(0, long)
    monkeypatch.setattr("hf_lambda.onnx_engine.decoder.model.CHUNK", 10 * CHUNK)
    assert np.allclose(scores, _alone(folder, long), atol=1e-4)


def test_rows_change_places_with_all_that_they_hold(folder, model):
    texts = [_tokens(9, 1), _tokens(23, 2), _tokens(5, 3)]
    for row, text in enumerate(texts):
        model.read(row, text)
    model.rearrange([2, 1])
    scores = model.step([7, 8])
    assert np.allclose(scores[0], _alone(folder, [*texts[2], 7]), atol=1e-4)
    assert np.allclose(scores[1], _alone(folder, [*texts[1], 8]), atol=1e-4)


def test_the_rows_of_a_batch_are_given_back_and_the_first_one_is_kept(folder, model):
    texts = [_tokens(9, 1), _tokens(23, 2)]
    for row, text in enumerate(texts):
        model.read(row, text)
    model.keep_rows(1)
    assert {len(buffer) for buffer in model._buffers.values()} == {1}
    model.read_tokens = 0
    scores = model.read(0, [*texts[0], 4])
    assert model.read_tokens == 1
    assert np.allclose(scores, _alone(folder, [*texts[0], 4]), atol=1e-4)


def test_after_a_failed_run_nothing_is_taken_for_read(folder, model, monkeypatch):
    prompt = _tokens(10)
    model.read(0, prompt)
    with pytest.raises(Exception, match="out of data bounds"):
        model.read(0, [*prompt, 100_000])
    assert model.held == [[]]
    assert np.allclose(model.read(0, prompt), _alone(folder, prompt), atol=1e-4)


def test_a_token_of_one_row_takes_the_memory_that_is_said(model):
    assert model.bytes_per_token == 4 * 2 * 2 * 16 * 4  # layers, keys and values, heads, size, float32


def test_a_cache_takes_memory_for_what_it_holds_and_gives_it_back(folder):
    model = Model(folder, 1_000_000)  # 16 buffers of 128 MB a row
    before = _anonymous_mb()
    model.make_rows(4)
    for row in range(4):
        model.read(row, _tokens(50))
    assert _anonymous_mb() - before < 200
    model.keep_rows(1)
    assert _anonymous_mb() - before < 100


def _anonymous_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
