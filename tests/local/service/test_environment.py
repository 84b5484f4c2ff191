"""What this machine adds to a function's environment: where it finds the Hub."""

from local.hub.address import HubAddress
from local.service.environment import machine_environment
from tests.local.functions_to_run import declare

WARMUP = declare("warmup", command="warmup.worker.handler.handler", writes=True)
EMBEDDED = HubAddress("http://127.0.0.1:1")
CHOSEN = HubAddress("http://127.0.0.1:1", "https://huggingface.co")
TOKEN = {"HF_TOKEN": "hf_x", "OTHER": "x"}


def test_every_function_asks_the_embedded_hub_under_its_own_name():
    for function in (declare("sentiment"), WARMUP):
        given = machine_environment(function, EMBEDDED, {})
        assert given["HF_ENDPOINT"] == f"http://127.0.0.1:1/as/{function.name}"


def test_with_a_hub_of_the_user_s_choice_only_what_downloads_asks_it():
    cold = declare("cold", environment={"COLD_DOWNLOAD": "1"})
    for function in (WARMUP, cold):
        given = machine_environment(function, CHOSEN, TOKEN)
        assert (given["HF_ENDPOINT"], given["HF_TOKEN"]) == ("https://huggingface.co", "hf_x")
        assert "OTHER" not in given
    given = machine_environment(declare("sentiment"), CHOSEN, TOKEN)
    assert given["HF_ENDPOINT"] == "http://127.0.0.1:1/as/sentiment"
    assert "HF_TOKEN" not in given


def test_a_token_never_goes_to_the_embedded_hub():
    assert "HF_TOKEN" not in machine_environment(WARMUP, EMBEDDED, TOKEN)
