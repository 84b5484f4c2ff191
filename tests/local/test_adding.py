"""Which Hub `make add` asks."""

import os

import pytest

from local.adding import hub_for, stand_ins
from local.layout import Folder
from local.stack import StackError
from tests.warmup.add.repositories import model
from warmup.__main__ import main


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    for name in [name for name in os.environ if name.startswith("HF_")]:
        monkeypatch.delenv(name)


def test_a_hub_that_is_named_goes_first(tmp_path, monkeypatch):
    folder = Folder(tmp_path, tmp_path)
    with hub_for(folder, stand_ins()[0], "http://mine", (), print) as found:
        assert found == ("http://mine", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror")
    with hub_for(folder, stand_ins()[0], None, (), print) as found:
        assert found == (None, False)


def test_a_model_of_a_folder_comes_from_the_embedded_hub_and_others_from_the_hub_itself(tmp_path, capsys):
    each = model("org/mine", "bert", "BertForTokenClassification", "token-classification")
    each.write(tmp_path / "models")
    folder = Folder(tmp_path / ".local", tmp_path)
    models = (str(tmp_path / "models"),)
    with hub_for(folder, "org/other", None, models, print) as found:
        assert found == (None, False)
    with hub_for(folder, "org/mine", None, models, print) as (url, is_embedded):
        assert is_embedded and url
        assert main(["add", "org/mine", "--hub", url, "--scripts", str(tmp_path / "inference")]) == 0
    assert "token-classification" in (tmp_path / "inference/mine.py").read_text()


def test_a_folder_of_models_that_is_none_is_told(tmp_path):
    folder = Folder(tmp_path, tmp_path)
    with (
        pytest.raises(StackError, match="is not a directory"),
        hub_for(folder, "a/b", None, ["nowhere"], print),
    ):
        pass
