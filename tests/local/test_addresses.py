"""Where functions find the Hub."""

from local.addresses import Hub, surroundings
from tests.local.functions_to_run import declare

WARMUP = declare("warmup", command="warmup.worker.handler.handler", writes=True)


def test_every_function_asks_the_embedded_hub_under_its_own_name():
    hub = Hub("http://127.0.0.1:1")
    assert surroundings(declare("sentiment"), hub)["HF_ENDPOINT"] == "http://127.0.0.1:1/as/sentiment"
    assert surroundings(WARMUP, hub)["HF_ENDPOINT"] == "http://127.0.0.1:1/as/warmup"


def test_with_a_hub_of_the_user_s_choice_only_what_downloads_asks_it(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    hub = Hub("http://127.0.0.1:1", "https://huggingface.co")
    cold = declare("cold", environment={"COLD_DOWNLOAD": "1"})
    for function in (WARMUP, cold):
        given = surroundings(function, hub)
        assert (given["HF_ENDPOINT"], given["HF_TOKEN"]) == ("https://huggingface.co", "hf_x")
    given = surroundings(declare("sentiment"), hub)
    assert given["HF_ENDPOINT"] == "http://127.0.0.1:1/as/sentiment"
    assert "HF_TOKEN" not in given


def test_a_token_never_goes_to_the_embedded_hub(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert "HF_TOKEN" not in surroundings(WARMUP, Hub("http://127.0.0.1:1"))
