"""Clients of text-embeddings-inference against an endpoint: tiny prepared models, the real runtime, HTTP."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import openai
import pytest
import torch
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from hf_lambda.api_keys import API_KEYS, digest_of
from hf_lambda.manifest import Manifest, write_manifest
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests import tiny_encoders
from tests.local.functions_to_run import declare
from tests.tiny_encoders import TEXTS
from warmup.prepare import PrepareRequest, prepare

pytestmark = pytest.mark.slow

KEY = "k" * 40
ROOT = Path(__file__).parents[3]
SCRIPT = """
from hf_lambda import pipeline, tei

embed = pipeline("feature-extraction", model="org/embed", engine="onnx", precision="fp32")
rank = pipeline("text-ranking", model="org/rank", engine="onnx", precision="fp32")
handler = tei(embed, rerank=rank)
"""
LONG = " ".join(TEXTS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with both models."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("cache")
    for name, task, auto_class in (
        ("embed", "feature-extraction", "AutoModel"),
        ("rank", "text-ranking", "AutoModelForSequenceClassification"),
    ):
        snapshot = tiny_encoders.build("bert", folder / f"{name}-snapshot", labels=["LABEL_0"])
        tiny_encoders.save_head(snapshot, auto_class)
        if name == "embed":
            (snapshot / "config_sentence_transformers.json").write_text('{"prompts": {"query": "find: "}}')
        request = PrepareRequest(task, f"org/{name}", "c" * 40, snapshot, precision="fp32")
        entry = prepare(request, into=folder, isolated=False)
        entry = replace(entry, path=str(Path(entry.path).relative_to(folder)))
        document = Manifest(f"org/{name}", "main", "c" * 40, snapshot.name, (), 0, "now", (entry,))
        write_manifest(folder, document)
    return folder


@pytest.fixture
def address(emulators, root, cache):
    shutil.copytree(cache, root / "efs", dirs_exist_ok=True)
    (root / "inference/search.py").write_text(SCRIPT)
    environment = {**declare().environment, API_KEYS: digest_of(KEY)}
    function = declare("search", command="search.handler", environment=environment, memory_mb=1769)
    with serve(Gateway([function], emulators)) as url:
        yield f"{url}/urls/search"


def _post(address, path, body, key=KEY):
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(address + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_hubs_own_client_embeds_and_compares(address):
    client = InferenceClient(model=address, token=KEY, timeout=60)
    vectors = client.feature_extraction([TEXTS[0], TEXTS[1]], normalize=True)
    assert vectors.shape == (2, 32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    asked = client.feature_extraction(TEXTS[0], prompt_name="query")
    assert not np.allclose(asked[0], vectors[0], atol=1e-3)
    plain = client.feature_extraction(f"find: {TEXTS[0]}", normalize=False)
    assert np.allclose(plain[0] / np.linalg.norm(plain[0]), asked[0], atol=1e-5)
    found = client.sentence_similarity(TEXTS[0], other_sentences=[TEXTS[0], TEXTS[1]])
    assert found == pytest.approx([1.0, float(vectors[0] @ vectors[1])], abs=1e-4)
    left, right = (
        client.feature_extraction(LONG, truncate=True, truncation_direction=side)[0]
        for side in ("left", "right")
    )
    assert not np.allclose(left, right, atol=1e-3)
    with pytest.raises(HfHubHTTPError, match="422"):
        client.feature_extraction(LONG, truncate=False)


def test_openais_client_gets_the_same_vectors_and_both_forms_rank_alike(address):
    client = openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0, timeout=60)
    vectors = _post(address, "/embed", {"inputs": TEXTS[:2]})
    given = client.embeddings.create(model="org/embed", input=TEXTS[:2], dimensions=8).data
    client.close()
    short = _post(address, "/embed", {"inputs": TEXTS[:2], "dimensions": 8})
    assert np.allclose([each.embedding for each in given], short, atol=1e-5)
    assert np.allclose(np.array(vectors)[0, :8] / np.linalg.norm(vectors[0][:8]), short[0], atol=1e-5)
    assert len(_post(address, "/embed_all", {"inputs": "the train"})[0][0]) == 32
    ranks = _post(address, "/rerank", {"query": "a train?", "texts": TEXTS[:4], "return_text": True})
    assert [each["score"] for each in ranks] == sorted((each["score"] for each in ranks), reverse=True)
    body = {"model": "org/rank", "query": "a train?", "documents": TEXTS[:4], "top_n": 2}
    results = _post(address, "/v1/rerank", body)["results"]
    assert [each["index"] for each in results] == [each["index"] for each in ranks[:2]]
    assert ranks[0]["text"] == TEXTS[ranks[0]["index"]]
    with pytest.raises(urllib.error.HTTPError) as refused:
        _post(address, "/embed", {"inputs": "a"}, key="m" * 40)
    assert refused.value.code == 401
    refused.value.close()


LANGCHAIN = """
from huggingface_hub import InferenceClient
from langchain_huggingface import HuggingFaceEndpointEmbeddings
from langchain_openai import OpenAIEmbeddings

tei = HuggingFaceEndpointEmbeddings(model="org/embed", huggingfacehub_api_token=KEY)
tei.client = InferenceClient(model=ADDRESS, token=KEY)  # as its own `model` it takes no address
of_openai = OpenAIEmbeddings(
    model="org/embed", base_url=ADDRESS + "/v1", api_key=KEY, check_embedding_ctx_length=False
)
found = {
    "documents": tei.embed_documents(TEXTS),
    "query": tei.embed_query(TEXTS[0]),
    "openai": of_openai.embed_documents(TEXTS),
}
"""
LITELLM = """
import litellm

ranked = litellm.rerank(
    model="infinity/org/rank",
    query=TEXTS[0],
    documents=TEXTS,
    top_n=2,
    return_documents=False,  # Infinity, whose client this is, has them as texts
    api_base=ADDRESS + "/v1",
    api_key=KEY,
)
found = {"ranked": [each["index"] for each in ranked.results]}
"""


@pytest.mark.slow
def test_langchain_and_litellm_get_what_the_others_get(address, clients, tmp_path):
    vectors = _post(address, "/embed", {"inputs": TEXTS[:3]})
    found = clients.found(LANGCHAIN, tmp_path, ADDRESS=address, KEY=KEY, TEXTS=TEXTS[:3])
    assert np.allclose(found["documents"], vectors, atol=1e-5)
    assert np.allclose(found["query"], vectors[0], atol=1e-5)
    assert np.allclose(found["openai"], vectors, atol=1e-4)
    ranks = _post(address, "/rerank", {"query": TEXTS[0], "texts": TEXTS[:3]})
    names = {"ADDRESS": address, "KEY": KEY, "TEXTS": TEXTS[:3]}
    assert clients.found(LITELLM, tmp_path, **names) == {"ranked": [each["index"] for each in ranks[:2]]}
