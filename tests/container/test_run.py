"""The images, run as Lambda runs them."""

import json
import threading
from dataclasses import replace

import pytest

from local.report_line import ReportLine
from tests.container.support import MOUNT, declare, run

LIMIT_S = 30


def ask(instance, event):
    answer = instance.invoke(json.dumps(event).encode())
    return json.loads(answer.payload), answer


@pytest.fixture
def seen(containers):
    """What a probe sees in its container."""
    places = ["/tmp/x", "/x", "/var/task/x", "/opt/venv/x", "/dev/shm/x", f"{MOUNT}/x", "/home/x"]
    instance = containers.start(declare())
    found, _ = ask(instance, {"write": places})
    return found


def test_only_tmp_can_be_written_to(seen):
    refused = {path for path, result in seen["written"].items() if result != "written"}
    assert seen["written"]["/tmp/x"] == "written"
    assert refused == seen["written"].keys() - {"/tmp/x"}


def test_tmp_has_lambda_s_default_size(seen):
    assert seen["tmp_bytes"] == 512 << 20


def test_more_of_tmp_does_not_count_as_the_function_s_memory(containers):
    instance = containers.start(replace(declare(), storage_mb=2048))
    found, _ = ask(instance, {"write": ["/tmp/x", "/x"], "fill_mb": ["/tmp/large", 700]})
    assert found["written"] == {"/tmp/x": "written", "/x": "OSError"}
    assert found["filled"] == 700 << 20


def test_a_function_has_no_network_but_loopback_and_no_shared_memory(seen):
    assert seen["network"] == ["lo"]
    assert seen["shared_memory"] is False


def test_a_function_runs_without_root_capabilities_or_a_way_to_them(seen):
    assert seen["uid"] != 0
    assert seen["gid"] != 0
    assert int(seen["capabilities"], 16) == 0
    assert seen["no_new_privileges"] == "1"


def test_a_function_gets_the_memory_that_was_declared(seen):
    assert seen["memory_limit"] == 512 << 20


def test_the_warm_up_may_write_to_the_cache_as_the_access_point_s_user(containers):
    instance = containers.start(declare(target="full", writes=True))
    found, _ = ask(instance, {"write": [f"{MOUNT}/x"]})
    assert found["written"] == {f"{MOUNT}/x": "written"}
    assert (found["uid"], found["gid"]) == (1001, 1001)
    assert (containers.cache / "x").stat().st_uid == 1001


@pytest.mark.parametrize(
    ("name", "event"), [("sentiment", {"text": "good"}), ("summarization", {"article": "x"})]
)
def test_a_cold_cache_gives_the_command_that_warms_it(containers, name, event):
    instance = containers.start(declare(name, WARM_COMMAND="make warm STACK=here", HF_HUB_OFFLINE="1"))
    answer, _ = ask(instance, event)
    assert answer["statusCode"] == 503
    assert "make warm STACK=here" in json.dumps(answer["body"])


def test_a_container_killed_in_mid_request_is_replaced_by_one_that_answers(containers):
    victim = containers.start(declare())
    given = []
    thread = threading.Thread(target=lambda: given.append(ask(victim, {"sleep": 600})))
    thread.start()
    wait_for(lambda: "asleep" in victim.log.path.read_text())
    containers.engine.run("kill", victim.name)
    thread.join(LIMIT_S)
    (payload, answer), another = given[0], containers.start(declare())
    assert answer.error
    assert payload["errorType"] == "Runtime.ExitError"
    assert not victim.usable
    assert ask(another, {})[0]["network"] == ["lo"]


def test_a_request_past_the_function_s_timeout_is_ended(containers):
    instance = containers.start(declare(timeout_s=1))
    payload, answer = ask(instance, {"sleep": 600})
    assert answer.error
    assert payload["errorType"] == "Sandbox.Timedout"


def test_a_report_says_the_most_memory_that_its_processes_have_used_so_far(containers):
    with (containers.cache / "weights").open("wb") as file:
        file.truncate(300 << 20)
    instance = containers.start(declare(memory_mb=1024))
    events: tuple[dict[str, object], ...] = (
        {},
        {"map": f"{MOUNT}/weights"},
        {"keep_mb": 300},
        {"keep_mb": 0},
    )
    peaks = [ReportLine.of(ask(instance, event)[1].log).peak_mb for event in events]
    before, mapped, large, after = (peak or 0 for peak in peaks)
    assert 0 < before <= mapped < 200
    assert mapped + 300 <= large < mapped + 400
    assert large <= after < 1024


def test_a_stopped_instance_leaves_no_container(containers):
    instance = containers.start(declare())
    instance.stop()
    assert instance.name not in containers.engine.text("ps", "--all", "--format", "{{.Names}}").split()


@pytest.mark.parametrize("target", ["slim", "full"])
def test_the_image_s_own_user_is_not_root(engine, images, target):
    user = engine.text("image", "inspect", "--format", "{{.Config.User}}", images[target])
    assert user.split(":")[0] not in ("", "0", "root")


@pytest.mark.parametrize("target", ["slim", "full"])
def test_any_user_without_a_home_can_import_what_serves(engine, images, target):
    code = "import awslambdaric.bootstrap, hf_lambda, numpy, onnxruntime, tokenizers, os; print(os.getuid())"
    assert run(engine, images[target], "-u", "HOME", "python", "-c", code, entrypoint="env") == "54321"


def test_the_full_image_imports_what_the_warm_up_needs_and_runs_torch(engine, images):
    code = "import boto3, huggingface_hub, onnx, sentencepiece.sentencepiece_model_pb2, torch, transformers; "
    code += "import warmup.worker.handler; print(torch.ones(2).sum().item())"
    assert run(engine, images["full"], "-c", code) == "2.0"


def wait_for(condition):
    pause = threading.Event()
    for _ in range(LIMIT_S * 100):
        if condition():
            return
        pause.wait(0.01)
    raise TimeoutError("what the test waits for did not happen")
