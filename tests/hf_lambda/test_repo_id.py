"""What may be a repository of the Hub: one rule, whether or not the Hub's client is installed."""

from __future__ import annotations

import sys

import pytest

from hf_lambda.repo_id import is_bucket_folder, is_model_folder, is_repo_id

VALID = ["gpt2", "org/name", "org/_name", "_org/name", "a/b.c-d_e", "123", "a" * 96 + "/" + "b" * 96, "x_/y_"]
INVALID = [
    "",
    "/",
    "org/",
    "/name",
    "a/b/c",
    "/opt/model",
    ".name",
    "org/-name",
    "org/name.",
    "name-",
    "a--b",
    "a..b",
    "org/name.git",
    "a" * 97,
    "org/" + "a" * 97,
    "café",
    "org/文件",
    "org name",
    "org/name\n",
    "\ud83d",
    None,
    7,
    ["org/name"],
]


@pytest.fixture(params=["with huggingface_hub", "without"])
def client(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)


@pytest.mark.parametrize("text", VALID)
def test_an_id_is_one(client, text):
    assert is_repo_id(text)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_id_is_none(client, text):
    assert not is_repo_id(text)


@pytest.mark.parametrize("text", ["./mine", "./models/mine", "./a.b/c_d-e", "./1"])
def test_a_folder_beside_the_scripts_is_no_id(client, text):
    assert is_model_folder(text) and not is_repo_id(text)


NO_FOLDERS = [
    *("", ".", "./", "./a/", "./a//b", "../a", "./../a", "./a/../b", "./.git", "./a/.b", "/a", "a/b", "~/a"),
    *("./a--b", "./a b", "./a\n", "./a\0", "./café", "./a\\b", "./" + "a" * 200, None, 7, ["./a"]),
]


@pytest.mark.parametrize("text", NO_FOLDERS)
def test_what_leads_elsewhere_or_could_be_taken_for_another_is_no_folder(text):
    assert not is_model_folder(text)


@pytest.mark.parametrize(
    "text", ["s3://my-bucket/mine", "s3://a.b.c/jobs/x-1/output/model.tar.gz", "s3://123/_a/b"]
)
def test_a_folder_of_a_bucket_is_a_folder(text):
    assert is_bucket_folder(text) and is_model_folder(text) and not is_repo_id(text)


NO_BUCKETS = [
    *("s3://", "s3://bucket", "s3://bucket/", "s3://bucket/a/", "s3:///a", "s3://bucket//a", "S3://bucket/a"),
    *("s3://Bucket/a", "s3://b/a", "s3://-bucket/a", "s3://buc..ket/a", "s3://buc_ket/a", "s3://bu--cket/a"),
    *("s3://bucket/../a", "s3://bucket/.a", "s3://bucket/a--b", "s3://bucket/a b", "s3://bucket/a\n"),
    *("s3://bucket/café", "s3://bucket/" + "a" * 150, "s3://bucket/a?x", "https://bucket/a", None, 7),
]


@pytest.mark.parametrize("text", NO_BUCKETS)
def test_what_names_no_prefix_of_a_bucket_is_no_folder(text):
    assert not is_bucket_folder(text) and not is_model_folder(text)
