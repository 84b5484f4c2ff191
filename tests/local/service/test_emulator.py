"""One instance: the real emulator in front of the real runtime."""

import json
import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from infra.function import CACHE_ENVIRONMENT
from local import processes
from local.service.emulator import Emulators
from local.service.instances import InstanceError
from local.service.isolation import MODES, NONE
from tests.local.functions_to_run import declare, wait_for


@pytest.fixture
def start(emulators):
    started = []

    def begin(settings: Emulators = emulators, **changes):
        started.append(settings.start(declare(**changes)))
        return started[-1]

    yield begin
    for instance in started:
        instance.stop()


def ask(instance, event=None):
    answer = instance.invoke(json.dumps(event or {}).encode())
    return json.loads(answer.payload), answer


def test_a_second_request_meets_the_same_process(start):
    instance = start()
    first, _ = ask(instance)
    second, _ = ask(instance)
    assert first["pid"] == second["pid"]
    assert (first["calls"], second["calls"]) == (1, 2)


def test_a_function_sees_the_variables_of_lambda_and_of_the_program(start):
    seen = ask(start(memory_mb=1024, timeout_s=30))[0]["environment"]
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "1024"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "probe-1a2b3c4"
    assert seen["ENDPOINT_NAME"] == "probe"
    assert seen["_HANDLER"] == "probe.handler"


def test_the_scripts_are_where_lambda_says_that_they_are(start, root):
    assert ask(start())[0]["environment"]["LAMBDA_TASK_ROOT"] == str(root / "inference")


def test_nothing_of_the_user_s_environment_reaches_a_function(start, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the user")
    monkeypatch.setenv("SECRET_OF_THE_USER", "of the user")
    assert "of the user" not in ask(start())[0]["environment"].values()


def test_what_the_machine_adds_comes_over_the_program_s_environment(start, emulators):
    settings = replace(
        emulators, extra={"probe": {"HF_ENDPOINT": "http://127.0.0.1:1", "ENDPOINT_NAME": "x"}}
    )
    seen = ask(start(settings))[0]["environment"]
    assert (seen["HF_ENDPOINT"], seen["ENDPOINT_NAME"]) == ("http://127.0.0.1:1", "x")


def test_the_log_of_a_request_holds_its_lines_and_no_other_s(start, root):
    instance = start()
    ask(instance, {"first": 1})
    _, answer = ask(instance, {"second": 2})
    assert "asked ['second']" in answer.log
    assert "first" not in answer.log
    assert answer.log.startswith(f"START RequestId: {answer.request_id}")
    assert "REPORT RequestId: " in answer.log
    written = (root / "state/logs/probe.log").read_text()
    assert "asked ['first']" in written and "asked ['second']" in written


@pytest.mark.parametrize("streams", [False, True])
def test_a_report_says_the_most_memory_that_the_instance_has_used_so_far(start, streams):
    streaming = {**declare().environment, "RESPONSE_STREAM": "1"} if streams else declare().environment
    instance = start(memory_mb=1024, environment=streaming)
    logs = [ask(instance, event)[1].log for event in ({}, {"allocate_mb": 300}, {"free": True})]
    before, large, after = (int(re.findall(r"\tMax Memory Used: (\d+) MB", log)[-1]) for log in logs)
    assert 0 < before < 200
    assert before + 300 <= large < before + 400
    assert after >= large
    assert all(re.search(r"\tBilled Duration: \d+ ms\tMemory Size: 1024 MB\t", log) for log in logs)


def test_an_exception_is_an_error_with_its_class_and_the_instance_goes_on(start):
    instance = start()
    error, answer = ask(instance, {"raise": "no such thing"})
    assert answer.error
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no such thing")
    assert instance.usable
    assert not ask(instance)[1].error


@pytest.mark.parametrize("is_logged", [False, True])
def test_what_an_exception_of_a_plain_script_says_is_in_the_log_only_if_asked_for(start, is_logged, root):
    instance = start(environment={**declare().environment, **({"LOG_MESSAGES": "1"} if is_logged else {})})
    _, answer = ask(instance, {"raise": "what the caller wrote"})
    written = (root / "state/logs/probe.log").read_text()
    assert ("what the caller wrote" in answer.log, "what the caller wrote" in written) == (
        is_logged,
        is_logged,
    )
    assert "[ERROR] ValueError" in answer.log and 'probe.py", line' in answer.log


def test_an_answer_that_looks_like_an_error_is_an_answer(start, root):
    (root / "inference/looks.py").write_text(
        "def handler(event, context):\n"
        "    return {'errorMessage': 'm', 'errorType': 't', 'requestId': 'other', 'stackTrace': []}\n"
    )
    assert not ask(start(command="looks.handler"))[1].error


def test_a_timeout_is_an_error_that_ends_the_instance(start, root):
    instance = start(timeout_s=1)
    error, answer = ask(instance, {"until": str(root / "never")})
    assert answer.error
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert not instance.usable


def test_a_function_that_takes_more_memory_than_it_has_is_killed(start, root):
    instance = start(memory_mb=128)
    assert not ask(instance, {"allocate_mb": 20})[1].error
    error, answer = ask(instance, {"allocate_mb": 200, "until": str(root / "never")})
    assert answer.error
    assert error["errorType"] == "Runtime.OutOfMemory"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert not instance.usable


def test_files_that_are_mapped_take_none_of_its_memory(start, root):
    with (root / "efs/weights").open("wb") as file:
        file.truncate(300 << 20)
    instance = start(memory_mb=128)
    path = ask(instance)[0]["environment"]["MODEL_CACHE"] + "/weights"
    assert not ask(instance, {"map": path})[1].error
    assert not ask(instance)[1].error


def test_a_process_that_exits_is_an_error_that_ends_the_instance(start):
    instance = start()
    error, answer = ask(instance, {"exit": 3})
    assert answer.error
    assert error["errorType"] == "Runtime.ExitError"
    assert not instance.usable


def test_a_script_that_cannot_be_imported_says_why(start, root):
    (root / "inference/broken.py").write_text("import not_a_module\n")
    error, answer = ask(start(command="broken.handler"))
    assert answer.error
    assert "No module named 'not_a_module'" in error["errorMessage"]


def test_a_script_for_another_server_is_served_as_it_is(start, root):
    methods = (
        "def __init__(self, path): self.path = path\n    def __call__(self, data): return data['inputs']"
    )
    (root / "inference/custom.py").write_text(f"class EndpointHandler:\n    {methods}\n")
    assert ask(start(command="custom.handler"), {"inputs": "a"})[0] == {"statusCode": 200, "body": "a"}


def test_killing_the_emulator_in_mid_request_fails_that_request(start, root):
    instance = start(writes=True)
    answers = []
    request = json.dumps({"touch": "busy", "until": str(root / "efs/never")}).encode()
    thread = threading.Thread(target=lambda: answers.append(instance.invoke(request)))
    thread.start()
    wait_for(root / "efs/busy")
    os.kill(instance.pid, signal.SIGKILL)
    thread.join()
    assert answers[0].error
    assert json.loads(answers[0].payload)["errorType"] == "Runtime.ExitError"
    assert not instance.usable


def test_stopping_leaves_no_process_and_no_scratch_folder(start, root):
    instance = start()
    pid = ask(instance)[0]["pid"]
    instance.stop()
    assert processes.started(instance.pid) is None
    assert processes.started(pid) is None
    assert list((root / "state/tmp").iterdir()) == []
    assert list((root / "state/run").iterdir()) == []


def test_a_binary_that_ends_at_once_is_an_instance_error(emulators, tmp_path):
    binary = tmp_path / "false"
    binary.write_text("#!/bin/sh\nexit 1\n")
    binary.chmod(0o755)
    with pytest.raises(InstanceError, match=r"emulator of probe did not start; see .*probe\.log"):
        replace(emulators, binary=binary).start(declare())


@pytest.mark.parametrize("mode", MODES)
def test_an_inference_function_cannot_write_to_the_cache(start, emulators, root, mode):
    if emulators.isolation == NONE:
        pytest.skip("this machine allows neither mount namespaces nor Landlock")
    (root / "efs/model").write_text("weights")
    instance = start(replace(emulators, isolation=mode))
    seen, _ = ask(instance)
    assert "model" in seen["files"]
    targets = [f"{seen['environment']['MODEL_CACHE']}/model", str(root / "efs/model"), str(root / "new")]
    for target in targets:
        error, answer = ask(instance, {"write": target})
        assert answer.error, target
        assert error["errorType"] in ("OSError", "PermissionError")
    assert (root / "efs/model").read_text() == "weights"


@pytest.mark.parametrize("mode", MODES)
def test_a_function_has_no_rights_beyond_its_user_s_and_cannot_mount_the_cache_again(
    start, emulators, root, mode
):
    if emulators.isolation == NONE:
        pytest.skip("this machine allows neither mount namespaces nor Landlock")
    (root / "efs/model").write_text("weights")
    (root / "inference/tries.py").write_text(
        "import os, re, subprocess\n"
        "cache = os.environ['MODEL_CACHE']\n"
        "def handler(event, context):\n"
        "    status = open('/proc/self/status').read()\n"
        "    mounted = subprocess.run(['mount', '-o', 'remount,bind,rw', cache], capture_output=True)\n"
        "    capabilities = re.findall(r'^Cap(?:Prm|Eff|Bnd|Inh|Amb):\\s+(\\w+)$', status, re.MULTILINE)\n"
        "    return [mounted.returncode != 0, sorted({int(each, 16) for each in capabilities})]\n"
    )
    instance = start(replace(emulators, isolation=mode), command="tries.handler")
    assert ask(instance)[0] == [True, [0]]


def test_a_function_cannot_change_what_the_cache_says_of_its_files(start, emulators, root):
    if emulators.isolation != "namespace":
        pytest.skip("this machine allows no mount namespaces")
    (root / "efs/model").write_text("weights")
    before = (root / "efs/model").stat()
    (root / "inference/touches.py").write_text(
        "import os\n"
        "file = os.environ['MODEL_CACHE'] + '/model'\n"
        "def attempt(act):\n"
        "    try:\n"
        "        act()\n"
        "    except OSError:\n"
        "        return 'refused'\n"
        "def handler(event, context):\n"
        "    return [attempt(act) for act in (lambda: os.chmod(file, 0), lambda: os.utime(file, (0, 0)),\n"
        "            lambda: os.rename(file, file + '2'), lambda: os.setxattr(file, 'user.x', b'x'))]\n"
    )
    assert ask(start(command="touches.handler"))[0] == ["refused"] * 4
    after = (root / "efs/model").stat()
    assert (after.st_mode, after.st_mtime) == (before.st_mode, before.st_mtime)


@pytest.mark.parametrize("mode", [*MODES, NONE])
def test_the_warm_up_can_write_to_the_cache(start, emulators, root, mode):
    instance = start(replace(emulators, isolation=mode), writes=True)
    cache = ask(instance)[0]["environment"]["MODEL_CACHE"]
    _, answer = ask(instance, {"write": f"{cache}/new"})
    assert not answer.error, answer.payload
    assert (root / "efs/new").read_text() == "written"


@pytest.mark.parametrize("mode", [*MODES, NONE])
def test_every_instance_has_a_tmp_of_its_own(start, emulators, mode):
    settings = replace(emulators, isolation=mode)
    first, second = start(settings), start(settings)
    folders = [ask(each)[0]["environment"]["TMPDIR"] for each in (first, second)]
    assert not ask(first, {"write": f"{folders[0]}/scratch"})[1].error
    assert "scratch" in ask(first, {"list": folders[0]})[0]
    assert "scratch" not in ask(second, {"list": folders[1]})[0]


def test_tmp_is_writable_wherever_the_checkout_and_the_cache_lie(start, emulators, root):
    if emulators.isolation != "namespace":
        pytest.skip("this machine allows no mount namespaces")
    assert root.is_relative_to("/tmp")
    instance = start()
    assert not ask(instance, {"write": "/tmp/of_this_test"})[1].error
    assert not Path("/tmp/of_this_test").exists()
    for target in (root / "new", root / "inference/new", Path("/new")):
        assert ask(instance, {"write": str(target)})[1].error


@pytest.mark.parametrize("mode", [*MODES, NONE])
def test_libraries_may_keep_a_cache_at_home(start, emulators, root, mode):
    (root / "inference/keeps.py").write_text(
        "import os, pathlib\n"
        "places = [pathlib.Path.home() / '.keeps', *map(pathlib.Path, map(os.path.expandvars, [\n"
        "    '$XDG_CACHE_HOME/keeps', '$MPLCONFIGDIR']))]\n"
        "for place in places:\n"
        "    place.mkdir(parents=True)\n"
        "    (place / 'file').write_text('kept')\n"
        "def handler(event, context):\n"
        "    return [(place / 'file').read_text() for place in places]\n"
    )
    environment = {**declare().environment, **CACHE_ENVIRONMENT}
    instance = start(replace(emulators, isolation=mode), command="keeps.handler", environment=environment)
    assert ask(instance)[0] == ["kept"] * 3


def test_the_cache_is_mounted_where_the_program_says_without_a_trace_on_the_machine(start, emulators, root):
    if emulators.isolation != "namespace":
        pytest.skip("this machine allows no mount namespaces")
    seen, _ = ask(start(mount="/mnt/of_this_test", environment={"MODEL_CACHE": "/mnt/of_this_test"}))
    assert seen["environment"]["MODEL_CACHE"] == "/mnt/of_this_test"
    assert not os.path.exists("/mnt/of_this_test")  # noqa: PTH110
