"""Private and gated repositories and tokens, as the real client tells them apart."""

from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from local.hub import Hub

PINNED = "org/pinned"


@pytest.fixture
def hub(models: Path) -> Hub:
    return Hub(models, private=["org/own"], gated=[PINNED], tokens={"in": [PINNED, "org/own"], "out": []})


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("out", 404)])
@pytest.mark.parametrize("repo", ["org/own", "org/absent"])
def test_a_private_repository_looks_like_a_missing_one_to_others(
    endpoint: str, repo: str, token: str | bool, status: int
) -> None:
    with pytest.raises(RepositoryNotFoundError) as refused:
        HfApi(endpoint, token=token).model_info(repo)
    assert refused.value.response.status_code == status
    assert not isinstance(refused.value, GatedRepoError)


def test_a_private_repository_opens_to_its_token(endpoint: str) -> None:
    info = HfApi(endpoint, token="in").model_info("org/own")
    assert info.private is True


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("out", 403)])
def test_a_gated_file_is_refused_but_its_description_is_not(
    endpoint: str, cache: Path, token: str | bool, status: int
) -> None:
    assert HfApi(endpoint, token=token).model_info(PINNED).gated == "manual"
    with pytest.raises(GatedRepoError) as refused:
        hf_hub_download(PINNED, "config.json", endpoint=endpoint, cache_dir=cache, token=token)
    assert refused.value.response.status_code == status


def test_a_gated_file_opens_to_a_token_on_the_list(endpoint: str, cache: Path) -> None:
    assert hf_hub_download(PINNED, "model.safetensors", endpoint=endpoint, cache_dir=cache, token="in")


def test_a_wrong_token_is_refused_even_for_what_everybody_may_read(endpoint: str) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as refused:
        HfApi(endpoint, token="expired").model_info(PINNED)
    assert refused.value.response.status_code == 401
    assert not isinstance(refused.value, RepositoryNotFoundError)


def test_whoami_answers_a_good_token_alone(endpoint: str) -> None:
    assert HfApi(endpoint).whoami(token="in")["name"] == "local"
    with pytest.raises(HfHubHTTPError):
        HfApi(endpoint).whoami(token="expired")
