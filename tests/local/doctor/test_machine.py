"""Each thing that a machine may lack, and what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.docker_engine import Engine, EngineMissingError
from local.doctor.machine import (
    Ran,
    check_docker,
    check_emulation,
    check_image_store,
    check_local_stack,
    check_login,
    check_pulumi,
    check_python,
    run_command,
)
from local.doctor.report import Check, Status
from tests.infra.program import ROOT

ENGINE = Engine("unix:///run/docker.sock", "amd64", "6.1", "overlay2")


def says(check: Check, status: Status, *parts: str) -> None:
    assert check.status is status, check
    for part in parts:
        assert part in f"{check.found} -> {check.fix}", check


def answering(code: int | None = 0, out: str = "", err: str = ""):
    return lambda command: Ran(code, out, err)


def test_an_old_python_is_named_with_what_to_install():
    says(check_python((3, 10, 2)), Status.FAILED, "3.10.2", "install Python 3.11", "PYTHON=")
    says(check_python((3, 11, 0)), Status.OK, "3.11.0")


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "ppc"), ("Linux", "riscv64"), ("Windows", "AMD64")]
)
def test_where_the_local_stack_does_not_run_aws_is_still_deployed_to(system, machine):
    says(check_local_stack(system, machine), Status.WARNING, machine, "deploying to AWS does not")
    says(check_local_stack("Linux", "aarch64"), Status.OK)
    says(check_local_stack("Darwin", "arm64"), Status.OK, "in a container here")


def test_without_an_engine_it_says_where_it_looked_and_what_to_install(machine: Path):
    check, engine = check_docker({}, None)
    says(check, Status.FAILED, f"unix://{machine}/none.sock", "install one from https://docs.docker.com")
    assert engine is None
    (machine / "docker").touch(mode=0o755)
    says(check_docker({}, None)[0], Status.FAILED, "start the engine")


def test_an_engine_of_a_context_is_found_by_make_and_named_for_pulumi():
    def find(environ, configured):
        raise EngineMissingError("none")

    check, engine = check_docker({}, None, find, lambda environ: "unix:///colima.sock")
    says(check, Status.WARNING, "export DOCKER_HOST=unix:///colima.sock", "make up STACK=")
    assert engine is None


def test_the_engine_that_the_stack_names_is_asked():
    asked = []

    def find(environ, configured):
        asked.append(configured)
        return ENGINE

    check, engine = check_docker({}, "tcp://builder:2375", find)
    says(check, Status.OK, "unix:///run/docker.sock", "amd64")
    assert asked == ["tcp://builder:2375"] and engine == ENGINE
    says(check_docker({}, "ssh://x", lambda *_: None)[0], Status.OK, "ssh")


def test_each_image_store_is_known_for_what_it_pushes():
    says(check_image_store(ENGINE), Status.OK, "classic (overlay2)")
    says(check_image_store(replace(ENGINE, image_store="containerd")), Status.OK, "an index")
    says(check_image_store(replace(ENGINE, image_store=None)), Status.WARNING, "docs/image.md")
    says(check_image_store(None), Status.SKIPPED, "no Docker engine")


def test_another_architecture_needs_an_emulator_that_it_says_how_to_register():
    says(check_emulation(ENGINE, "x86_64"), Status.OK)
    says(check_emulation(ENGINE, "arm64", lambda *_: True), Status.OK, "QEMU")
    failed = check_emulation(ENGINE, "arm64", lambda *_: False)
    says(failed, Status.FAILED, "architecture is arm64", "exec format error")
    assert failed.fix.startswith(
        "Register one (docker run --privileged --rm tonistiigi/binfmt --install arm64)"
    )
    says(
        check_emulation(ENGINE, "arm64", lambda *_: None), Status.WARNING, "cannot be told", "--install arm64"
    )
    says(
        check_emulation(replace(ENGINE, architecture="arm64"), "x86_64", lambda *_: False),
        Status.FAILED,
        "amd64",
    )
    says(check_emulation(None, "arm64"), Status.SKIPPED)


def test_the_cli_must_be_there_and_new_enough():
    says(check_pulumi(ROOT, run_command), Status.FAILED, "pulumi does not run", "pulumi.com/docs/install")
    says(check_pulumi(ROOT, answering(0, "v3.100.2\n")), Status.FAILED, "3.100.2", "3.217.0 or newer")
    says(check_pulumi(ROOT, answering(0, "v3.217.0\n")), Status.OK, "3.217.0")
    says(check_pulumi(ROOT, answering(0, "v10.0.0-beta.1\n")), Status.OK)
    says(check_pulumi(ROOT, answering(1, "", "a\nbroken")), Status.FAILED, "broken")


def test_whoever_is_not_logged_in_is_told_the_three_ways():
    refused = answering(255, "", "error: PULUMI_ACCESS_TOKEN must be set for login")
    check = check_login(True, {}, refused)
    says(check, Status.FAILED, "PULUMI_ACCESS_TOKEN must be set", "`pulumi login`", "--local", "s3://")
    says(check_login(True, {}, answering(None, "", "did not end within 60 s")), Status.FAILED, "60 s")
    says(check_login(True, {}, answering(0, "me")), Status.FAILED)
    says(check_login(False, {}, refused), Status.SKIPPED, "no Pulumi CLI")


def test_a_state_of_one_s_own_needs_a_passphrase():
    ran = answering(0, json.dumps({"user": "me", "url": "s3://bucket?region=us-east-1"}))
    says(check_login(True, {}, ran), Status.WARNING, "me at s3://bucket", "PULUMI_CONFIG_PASSPHRASE")
    for key in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        says(check_login(True, {key: "hidden"}, ran), Status.OK)
    cloud = answering(0, json.dumps({"user": "me", "url": "https://app.pulumi.com/me"}))
    says(check_login(True, {}, cloud), Status.OK, "me at https://app.pulumi.com")


def test_a_password_in_the_address_of_the_state_is_not_shown():
    ran = answering(0, json.dumps({"user": "me", "url": "postgres://me:hunter2@db/state?password=hunter3"}))
    check = check_login(True, {}, ran)
    assert "postgres://db" in check.found and "hunter" not in f"{check}"
