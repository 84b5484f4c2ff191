"""What an instance in a container is started with; tests/container starts real ones."""

import dataclasses
import io
import itertools
import threading

import pytest

from local.docker.engine import ContainerEngine
from local.service import container
from local.service.container import LABEL, Containers
from local.service.instances import InstanceError
from tests.local.functions_to_run import declare


class Client:
    """Stands for the attached `docker run`: says `said`, and keeps what it is told."""

    def __init__(self, said):
        self.stdin, self.stdout, self.stderr = Kept(), io.BytesIO(said), io.BytesIO(b"")
        self.ended = False

    def poll(self):
        return 0 if self.ended else None

    def wait(self, timeout=None):
        return 0


class Kept(io.BytesIO):
    """A stream whose content outlives it."""

    def close(self):
        self.content = self.getvalue()
        super().close()


class Notes(ContainerEngine):
    """Notes what it is asked; a container that it runs says `said`."""

    def __init__(self):
        super().__init__("docker")
        self.said = b"ready\n"
        self.asked: list[tuple[str, ...]] = []
        self.ran: list[tuple[str, ...]] = []
        self.killed = threading.Event()

    def attach(self, *arguments, stdin, stdout, stderr):
        self.ran.append(arguments)
        return Client(self.said)

    def run(self, *arguments, check=True):
        self.asked.append(arguments)
        if arguments[0] == "kill":
            self.killed.set()

    def text(self, *arguments):
        self.asked.append(arguments)
        return "abc\ndef"


@pytest.fixture
def containers(tmp_path):
    return Containers(Notes(), tmp_path / "cache", tmp_path / "state", tmp_path / "rie")


def options(arguments, name):
    return [value for key, value in itertools.pairwise(arguments) if key == name]


def says(containers, what):
    containers.engine.said = what


def started(containers, function):
    instance = containers.start(function)
    instance.stop()
    return containers.engine.ran[-1]


def test_a_function_gets_nothing_to_write_to_but_tmp(containers):
    run = started(containers, declare())
    assert "--read-only" in run
    assert [mount.partition(":")[0] for mount in options(run, "--tmpfs")] == ["/tmp"]
    assert options(run, "--ipc") == ["none"]
    cache = f"type=bind,src={containers.cache},dst=/mnt/hf_models_cache,readonly"
    assert cache in options(run, "--mount")


def test_more_of_tmp_than_lambda_s_default_lies_on_the_disk_and_goes_with_the_container(containers):
    instance = containers.start(dataclasses.replace(declare(), storage_mb=10240))
    assert not options(containers.engine.ran[-1], "--tmpfs")
    assert "type=volume,dst=/tmp" in options(containers.engine.ran[-1], "--mount")
    instance.stop()
    assert containers.engine.asked[-1][:3] == ("rm", "--force", "--volumes")


def test_a_function_has_no_network_unless_it_downloads_or_warms(containers):
    downloading = dataclasses.replace(declare(), environment={"COLD_DOWNLOAD": "1"})
    warming = dataclasses.replace(declare(), command="warmup.worker.handler.handler", writes=True)
    assert options(started(containers, declare()), "--network") == ["none"]
    assert options(started(containers, downloading), "--network") == ["host"]
    assert options(started(containers, warming), "--network") == ["host"]


def test_the_warm_up_may_write_to_the_cache(containers):
    run = started(containers, dataclasses.replace(declare(), writes=True))
    assert f"type=bind,src={containers.cache},dst=/mnt/hf_models_cache" in options(run, "--mount")


def test_a_function_runs_with_its_memory_without_rights_and_never_as_root(containers):
    run = started(containers, declare())
    assert options(run, "--memory") == options(run, "--memory-swap") == ["512m"]
    assert options(run, "--cap-drop") == ["ALL"]
    assert options(run, "--security-opt") == ["no-new-privileges"]
    assert not options(run, "--user")[0].startswith("0:")


def test_the_environment_is_lambda_s_and_the_program_s_and_paths_are_the_image_s(containers):
    run = started(containers, declare())
    given = dict(entry.split("=", 1) for entry in options(run, "--env"))
    assert given["MODEL_CACHE"] == "/mnt/hf_models_cache"
    assert given["HF_HOME"] == "/tmp/hf"
    assert given["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert given.keys().isdisjoint({"PATH", "PYTHONPATH", "LAMBDA_TASK_ROOT"})


def test_the_image_is_the_one_of_the_function_s_target(containers):
    assert "hf-lambda:slim" in started(containers, dataclasses.replace(declare(), target="slim"))
    assert "hf-lambda:full" in started(containers, dataclasses.replace(declare(), target="full"))


def test_a_container_that_does_not_get_ready_is_removed_and_named(containers):
    says(containers, b"")
    with pytest.raises(InstanceError, match=r"the container of probe did not start; see .*probe\.log"):
        containers.start(declare())
    assert containers.engine.asked[-1][:2] == ("rm", "--force")


def test_a_request_goes_in_by_stdin_and_its_answer_comes_by_stdout(containers):
    says(containers, b'ready\n{"status": 200, "bytes": 4}\n"ok"')
    instance = containers.start(declare())
    answer = instance.invoke(b'{"a": 1}')
    stdin = instance._process.stdin
    instance.stop()
    assert (answer.payload, answer.error) == (b'"ok"', False)
    assert stdin.content == b'{"bytes": 8, "context": null}\n{"a": 1}'


def test_a_container_that_is_gone_fails_the_request_and_is_not_used_again(containers):
    instance = containers.start(declare())
    answer = instance.invoke(b"{}")
    instance.stop()
    assert answer.error
    assert b"Runtime.ExitError" in answer.payload
    assert not instance.usable


def test_a_container_that_answers_past_every_limit_is_killed(containers, monkeypatch):
    monkeypatch.setattr(container, "GRACE_S", -29.9)
    instance = containers.start(declare())
    instance._process.stdout = Waiting(containers.engine.killed)
    answer = instance.invoke(b"{}")
    instance.stop()
    assert answer.error
    assert ("kill", instance.name) in containers.engine.asked


def test_what_an_earlier_run_left_behind_is_removed_by_its_label(containers):
    containers.remove_all()
    listed, removed = containers.engine.asked
    assert f"label={LABEL}={containers.state}" in listed
    assert removed == ("rm", "--force", "--volumes", "abc", "def")


class Waiting(io.BytesIO):
    """Gives nothing until an event is set, then its end."""

    def __init__(self, event):
        super().__init__()
        self._event = event

    def readline(self, size=-1):
        assert self._event.wait(20)
        return b""
