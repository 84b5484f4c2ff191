"""Every family that is prepared has a tiny model which the tests hold to transformers."""

from tests import tiny_encoders, tiny_seq2seq
from warmup.prepare.families import ENCODERS, SEQ2SEQ


def test_every_encoder_that_is_prepared_is_tested():
    assert set(tiny_encoders.FAMILIES) == ENCODERS


def test_every_encoder_decoder_that_is_prepared_is_tested():
    tested = {tiny_seq2seq.random_model(family, 300).config.model_type for family in tiny_seq2seq.FAMILIES}
    assert tested == SEQ2SEQ
