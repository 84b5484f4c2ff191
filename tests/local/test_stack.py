"""The whole stack, as `make up` starts it, in a copy of the repository."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local import processes, stack
from local.layout import Folder
from tests.local.functions_to_run import wait_for
from tests.local.program.test_sample_scripts import SAMPLE

ROOT = Path(__file__).parents[2]
PARTS = ("__main__.py", "Pulumi.yaml", "infra", "inference", "hf_lambda", "discovery", "warmup", "local")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / ".local", tmp_path)


def test_without_the_emulator_it_says_what_to_run(folder):
    with pytest.raises(stack.StackError, match=r"aws-lambda-rie is missing; run `make setup`"):
        stack.start(folder, stack.Choices(), print)


def test_two_at_once_keep_out_of_each_other_s_way(folder):
    with (
        stack.locked(folder),
        pytest.raises(stack.StackError, match="another `make up` or `make down` is at work"),
        stack.locked(folder),
    ):
        pass
    with stack.locked(folder):
        pass


def test_nothing_to_stop_is_no_mistake(folder):
    assert not stack.stop(folder)


def run(tree, *arguments, check=True):
    command = [sys.executable, "-m", "local", *arguments]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=600)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def report_of(tree):
    return json.loads((tree / ".local/report.json").read_text())


def written(tree):
    """When which weights and prepared graphs in the cache were written."""
    cache = tree / ".local/efs"
    files = [*cache.glob("hub/*/blobs/*"), *cache.glob("prepared/*/*/*/*")]
    return {str(path.relative_to(cache)): path.stat().st_mtime_ns for path in files}


def pids(tree):
    """Everything that is remembered of the running stack."""
    return [json.loads(path.read_text())["pid"] for path in (tree / ".local/run").glob("*.json")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the repository with its stack up."""
    tree = tmp_path_factory.mktemp("repository")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tree / name)
    (tree / ".local").mkdir()
    (tree / ".local/bin").symlink_to(ROOT / ".local/bin")
    (tree / ".local/models").symlink_to(ROOT / ".local/models")
    (ROOT / ".local/models").mkdir(exist_ok=True)
    try:
        run(tree, "up")
        yield tree
    finally:
        run(tree, "down")


@pytest.mark.slow
def test_every_endpoint_answers_from_the_warmed_cache_without_asking_the_hub(tree):
    report = report_of(tree)
    assert {endpoint["name"] for endpoint in report["endpoints"]} == {"sentiment", "summarization"}
    for endpoint in report["endpoints"]:
        assert endpoint["response"]
        assert endpoint["hub_requests"] == 0
        assert endpoint["engine"].startswith("onnx-")
        assert endpoint["cold"] and endpoint["cold_ms"] > 0 and endpoint["warm_ms"] > 0
    assert {model["model"] for model in report["warmup"]} == {each["model"] for each in report["endpoints"]}
    assert (report["stack"], report["hub"][:17]) == ("local", "http://127.0.0.1:")


@pytest.mark.slow
def test_one_request_gets_its_answer_on_stdout(tree):
    answer = json.loads(run(tree, "invoke", "sentiment", '{"text": "I love this"}').stdout)
    assert answer["statusCode"] == 200
    assert answer["body"]["label"] == "POSITIVE"


@pytest.mark.slow
def test_a_caller_s_mistake_is_an_answer_on_stderr_and_exit_code_1(tree):
    done = run(tree, "invoke", "sentiment", '{"txt": "I love this"}', check=False)
    assert done.returncode == 1
    assert json.loads(done.stderr)["statusCode"] == 400


@pytest.mark.slow
def test_a_second_up_replaces_the_first_and_downloads_nothing(tree):
    before, old = written(tree), pids(tree)
    run(tree, "up")
    assert [pid for pid in old if processes.started(pid)] == []
    assert all(processes.started(pid) for pid in pids(tree))
    assert written(tree) == before


@pytest.mark.slow
def test_a_script_that_is_dropped_in_becomes_an_endpoint(tree):
    shutil.copy(ROOT / "examples/translate-en2fr.py", tree / "inference")
    run(tree, "up")
    by_name = {endpoint["name"]: endpoint for endpoint in report_of(tree)["endpoints"]}
    assert set(by_name) == {"sentiment", "summarization", "translate-en2fr"}
    translator = by_name["translate-en2fr"]
    assert translator["response"]["translation_text"]
    assert translator["hub_requests"] == 0
    (tree / "inference/translate-en2fr.py").unlink()


@pytest.mark.slow
def test_the_aws_sample_s_own_script_works_as_it_is(tree):
    (tree / "inference/sample.py").write_text(SAMPLE.format(task="sentiment-analysis"))
    run(tree, "up")
    (tree / "inference/sample.py").unlink()
    sample = next(each for each in report_of(tree)["endpoints"] if each["name"] == "sample")
    assert sample["response"]["label"] == "POSITIVE"
    assert sample["hub_requests"] == 0
    answer = json.loads(run(tree, "invoke", "sample", '{"text": "I hate it"}').stdout)
    assert (answer["statusCode"], answer["body"]["label"]) == (200, "NEGATIVE")


@pytest.mark.slow
def test_a_script_named_as_a_module_of_python_stops_up_and_nothing_else(tree):
    before = pids(tree)
    (tree / "inference/json.py").write_text("def handler(event, context): ...\n")
    try:
        done = run(tree, "up", check=False)
        assert done.returncode == 1 and "inference/json.py:1" in done.stderr
        assert "Traceback" not in done.stderr
        assert all(processes.started(pid) for pid in before)
        assert run(tree, "invoke", "sentiment", '{"text": "fine"}').returncode == 0
    finally:
        (tree / "inference/json.py").unlink()


@pytest.mark.slow
def test_a_model_that_the_hub_has_not_is_named_and_the_stack_stays_up(tree):
    (tree / "inference/unknown.py").write_text(
        "from hf_lambda import endpoint, pipeline\n\n"
        'classify = pipeline("text-classification", model="nobody/nothing")\n\n\n'
        "@endpoint\ndef handler(text: str):\n    return classify(text)\n"
    )
    done = run(tree, "up", check=False)
    (tree / "inference/unknown.py").unlink()
    assert done.returncode == 1
    assert "nobody/nothing" in done.stderr
    assert "the stack stays up: `make warm` tries again" in done.stderr
    assert run(tree, "invoke", "sentiment", '{"text": "fine"}').returncode == 0


@pytest.mark.slow
def test_a_mistake_in_the_config_is_one_line_and_leaves_the_running_stack_alone(tree):
    before = pids(tree)
    (tree / "Pulumi.local.yaml").write_text("config:\n  hf-lambda:memoryMb: 64\n")
    done = run(tree, "up", check=False)
    (tree / "Pulumi.local.yaml").unlink()
    assert done.returncode == 1
    assert "memoryMb" in done.stderr and "Traceback" not in done.stderr
    assert all(processes.started(pid) for pid in before)


@pytest.mark.slow
def test_models_of_the_user_are_served_too(tree, tmp_path):
    models = tmp_path / "models/me/mine"
    shutil.copytree(next((ROOT / ".local/models/distilbert").iterdir()), models)
    (tree / "inference/mine.py").write_text(
        "from hf_lambda import endpoint, pipeline\n\n"
        'classify = pipeline("text-classification", model="me/mine")\n\n\n'
        "@endpoint\ndef handler(text: str):\n    return classify(text)\n"
    )
    run(tree, "up", "--models", str(tmp_path / "models"))
    (tree / "inference/mine.py").unlink()
    mine = next(endpoint for endpoint in report_of(tree)["endpoints"] if endpoint["name"] == "mine")
    assert mine["response"]["label"] in ("POSITIVE", "NEGATIVE")
    assert mine["hub_requests"] == 0


@pytest.mark.slow
def test_a_hub_of_the_user_s_choice_warms_the_cache(tree):
    embedded = [sys.executable, "-m", "local.hub", "--models", str(ROOT / ".local/models")]
    port_file = tree / "other.port"
    with subprocess.Popen(
        [*embedded, "--port-file", str(port_file)], cwd=tree, stdout=subprocess.DEVNULL
    ) as hub:
        try:
            wait_for(port_file)
            url = f"http://127.0.0.1:{port_file.read_text()}"
            shutil.rmtree(
                tree / ".local/efs/hub/models--distilbert--distilbert-base-uncased-finetuned-sst-2-english"
            )
            shutil.rmtree(
                tree
                / ".local/efs/manifests/models--distilbert--distilbert-base-uncased-finetuned-sst-2-english"
            )
            run(tree, "up", "--hub", url)
        finally:
            hub.terminate()
    report = report_of(tree)
    assert report["hub"] == url
    assert [endpoint["hub_requests"] for endpoint in report["endpoints"]] == [0, 0]


@pytest.mark.slow
def test_down_leaves_no_process_even_where_the_gateway_was_killed(tree):
    run(tree, "up")
    everything = pids(tree)
    assert len(everything) > 2
    gateway = json.loads((tree / ".local/run/gateway.json").read_text())["pid"]
    os.kill(gateway, signal.SIGKILL)
    assert "stopped" in run(tree, "down").stdout
    assert [pid for pid in everything if processes.started(pid)] == []
    assert "nothing was running" in run(tree, "down").stdout
    assert (tree / ".local/efs/hub").is_dir()
