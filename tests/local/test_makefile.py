"""What `make` makes of its variables; the commands behind it have tests of their own."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path):
    """`make` with commands in place of ours that write down how they were called."""
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\n[ "$2" = infra.docker_engine ] && echo unix:///of/a/context && exit "${NO_DOCKER:-0}"\n'
        'printf "%s|" "$@"\nprintf "EVENT=%s\\n" "$EVENT"\n'
    )
    pulumi = tmp_path / "pulumi"
    pulumi.write_text('#!/bin/sh\nprintf "pulumi %s%s\\n" "$*" "${DOCKER_HOST:+ at $DOCKER_HOST}"\n')
    for script in (python, pulumi):
        script.chmod(0o755)
    # Set up already, also for a make that this one starts, which does not get -o.
    venv = tmp_path / "venv"
    venv.mkdir()
    for stamp in (".ready", ".ready-to-deploy"):
        (venv / stamp).touch()

    def run(*arguments, path=f"{tmp_path}:{os.defpath}", **variables):
        environment = {"PATH": path, "HOME": str(tmp_path), **variables}
        command = [
            "make",
            "-s",
            "--no-print-directory",
            "-o",
            "setup",
            f"VENV={venv}",
            f"PY={python}",
            *arguments,
        ]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    "event", ['{"text": "costs $5, $$HOME `id` $(id)"}', '{"text": "it\'s \\"fine\\" # really; \\\\"}', ""]
)
def test_an_event_reaches_the_command_as_it_was_written(make, event):
    done = make("invoke", "FN=sentiment", f"EVENT={event}")
    assert done.stdout == f"-m|local|invoke|--stack|local|sentiment|EVENT={event}\n", done.stderr


def test_invoke_without_a_function_shows_how(make):
    done = make("invoke")
    assert done.returncode
    assert """make invoke FN=sentiment EVENT='{"text": "I love this"}'""" in done.stderr


def test_cost_takes_a_stack_times_and_a_hub(make):
    assert make("cost").stdout == "-m|local|cost|--stack|local|EVENT=\n"
    assert make("cost", "STACK=dev", "MS=25 sentiment=5", "HUB=1", "JSON=1").stdout == (
        "-m|local|cost|--stack|dev|--ms|25|--ms|sentiment=5|--hub|--json|EVENT=\n"
    )
    assert "|--hub|http://hub|EVENT=" in make("cost", "HUB=http://hub").stdout


def test_up_takes_models_a_hub_and_containers(make):
    assert make("up").stdout == "-m|local|up|EVENT=\n"
    assert make("up", "MODELS=a b", "HUB=https://huggingface.co", "CONTAINER=1").stdout == (
        "-m|local|up|--hub|https://huggingface.co|--models|a|--models|b|--container|EVENT=\n"
    )


def test_what_starts_or_builds_can_be_told_to_do_it_in_a_container(make):
    assert make("up", "HOST=container", "JSON=1").stdout == "-m|local|up|--host|container|--json|EVENT=\n"
    assert make("dev", "HOST=container").stdout == "-m|local|dev|--host|container|EVENT=\n"
    added = make("add", "MODEL=org/name", "HOST=container").stdout
    assert added == "-m|local|add|org/name|--host|container|EVENT=\n"
    assert make("up", HOST="a-machine").stdout == "-m|local|up|EVENT=\n"  # as some shells set it


def test_dev_takes_models_and_a_hub(make):
    assert make("dev").stdout == "-m|local|dev|EVENT=\n"
    assert make("dev", "MODELS=a", "HUB=http://hub").stdout == (
        "-m|local|dev|--hub|http://hub|--models|a|EVENT=\n"
    )


def test_up_of_another_stack_is_pulumi_and_the_warm_up(make):
    assert make("up", "STACK=dev").stdout.splitlines() == [
        "pulumi stack select --create dev",
        "pulumi up --stack dev at unix:///of/a/context",
        "-m|warmup|--stack|dev|EVENT=",
    ]


@pytest.mark.parametrize("target", ["up", "down"])
def test_without_a_docker_engine_pulumi_neither_deploys_nor_destroys(make, target):
    done = make(target, "STACK=dev", NO_DOCKER="1")
    assert done.returncode
    assert "pulumi up" not in done.stdout and "pulumi destroy" not in done.stdout


def test_another_stack_without_pulumi_says_where_to_get_it(make):
    done = make("up", "STACK=dev", path=os.defpath)
    assert done.returncode
    assert "pulumi is not on the PATH" in done.stderr


def test_logs_take_a_function_and_a_stack(make):
    assert make("logs").stdout == "-m|local|logs|--stack|local|EVENT=\n"
    assert make("logs", "FN=sentiment", "STACK=dev").stdout == "-m|local|logs|--stack|dev|sentiment|EVENT=\n"


def test_down_and_warm_take_a_stack(make):
    assert make("down").stdout == "-m|local|down|EVENT=\n"
    assert make("down", "STACK=dev").stdout == "pulumi destroy --stack dev at unix:///of/a/context\n"
    assert make("warm").stdout == "-m|warmup|--stack|local|EVENT=\n"
    assert make("warm", "STACK=dev").stdout == "-m|warmup|--stack|dev|EVENT=\n"


def test_add_and_remove_take_what_the_command_takes(make):
    chosen = ("TASK=summarization", "NAME=short", "HUB=http://hub", "MODELS=a b", "FORCE=1")
    assert make("add", "MODEL=org/name", *chosen).stdout == (
        "-m|local|add|org/name|--task|summarization|--name|short|--hub|http://hub|--models|a|--models|b|--force|EVENT=\n"
    )
    assert make("add", "MODEL=org/name", "STACK=dev").stdout == "-m|warmup|add|org/name|EVENT=\n"
    assert make("remove", "NAME=short").stdout == "-m|warmup|remove|short|EVENT=\n"
    for target, missing in (("add", "MODEL=org/name"), ("remove", "NAME=sentiment")):
        done = make(target)
        assert done.returncode and f"make {target} {missing}" in done.stderr


def test_doctor_looks_at_a_stack_in_aws(make):
    assert make("doctor").stdout == "-m|local|doctor|--stack|dev|EVENT=\n"
    assert make("doctor", "STACK=prod", "JSON=1").stdout == "-m|local|doctor|--stack|prod|--json|EVENT=\n"


def test_upgrade_is_followed_by_a_preview_of_a_stack_in_aws(make):
    assert make("upgrade").stdout == "-m|local|upgrade|EVENT=\n"
    assert make("upgrade", "TO=v1.2.3", "REMOTE=upstream", "STACK=dev").stdout.splitlines() == [
        "-m|local|upgrade|--to|v1.2.3|--remote|upstream|EVENT=",
        "pulumi preview --stack dev at unix:///of/a/context",
    ]
    assert "preview" not in make("upgrade", "DRY_RUN=1", "STACK=dev").stdout
    done = make("preview")
    assert done.returncode and "make preview STACK=dev" in done.stderr


def test_help_names_every_target(make):
    text = make("help").stdout
    makefile = (ROOT / "Makefile").read_text()
    phony = set(" ".join(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)).split())
    assert phony == set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    helped = dict(re.findall(r"^  make (\w+) +(\S.*)$", text, re.MULTILINE))
    assert helped.keys() == phony and all(" " in each for each in helped.values())
    assert make().stdout == text


def test_help_names_every_variable_that_a_target_takes(make):
    """All but those that say how this machine is set up."""
    makefile = (ROOT / "Makefile").read_text()
    own = set(re.findall(r"^([A-Z_]+) [:?]?=", makefile, re.MULTILINE)) - {"STACK"}
    taken = set(re.findall(r"\$\(([A-Z_]+)\)|[(,]([A-Z_]+)\)", makefile))
    names = {name for pair in taken for name in pair if name} - own - {"MAKE", "MAKEFILE_LIST"}
    assert {"MODELS", "TO", "FN"} <= names
    assert {name for name in names if f"{name}=" not in make("help").stdout} == set()


def test_an_old_python_is_refused_with_what_to_set(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nexec python3 -c "import sys; sys.version_info = (3, 9, 0); $2"\n')
    old.chmod(0o755)
    arguments = ["make", "-B", "setup", f"VENV={tmp_path}/venv", f"PYTHON={old}"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Python 3.11 or newer is needed" in done.stderr and "is 3.9" in done.stderr
