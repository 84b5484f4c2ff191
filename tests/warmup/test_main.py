"""`python -m warmup`: the command over a loopback Lambda API, with the real handler and the embedded Hub."""

import json
import logging
import time
from pathlib import Path

import pytest

from hf_lambda.atomic import replace_text
from local.hub import Stall
from tests.warmup.lambda_api import Api, Failure, serve_functions
from tests.warmup.support import Context, Warming
from warmup.__main__ import main
from warmup.worker.handler import handler

SCRIPT = '''"""Answers."""
from hf_lambda import endpoint, pipeline

run = pipeline("text-classification", model="{model}", engine="torch")
EXAMPLE = {{"text": "Good."}}


@endpoint
def handler(text: str):
    return run(text)
'''


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    (folder / "first.py").write_text(SCRIPT.format(model="org/tiny"))
    (folder / "second.py").write_text(SCRIPT.format(model="org/other"))
    return folder


@pytest.fixture
def api(warming: Warming, monkeypatch: pytest.MonkeyPatch):
    """The deployed functions: the warm-up and two endpoints that answer from memory."""
    monkeypatch.setattr("warmup.cli.run_jobs.POLL_SECONDS", (0.01, 0.05))
    # The Lambda has a stdout of its own; an earlier test of this process may have let it log to ours.
    monkeypatch.setattr("warmup.worker.handler.log_to_stdout", lambda: None)
    monkeypatch.setattr(logging.getLogger("warmup"), "handlers", [logging.NullHandler()])
    line = json.dumps({"event": "request", "engine": "torch", "cold": True, "load_ms": 5})
    functions = {
        "warmup": lambda event: handler(event, Context()),
        "first": lambda event: {"statusCode": 200, "body": {"label": "POSITIVE", "asked": event}},
        "second": lambda event: {"statusCode": 200, "body": {"label": "NEGATIVE"}},
    }
    with serve_functions(Api(functions, lambda name: f"START\n{line}\nEND\n")) as api:
        yield api


@pytest.fixture
def command(api: Api, scripts: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Runs the command; returns exit code, stdout, stderr."""
    outputs = tmp_path / "outputs.json"
    names = ("first", "second")
    outputs.write_text(
        json.dumps(
            {
                "stack": "local",
                "warmupArn": api.arn("warmup"),
                "functions": {name: api.arn(name) for name in names},
                "endpointUrl": api.url,
            }
        )
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([*arguments, "--outputs", str(outputs), "--scripts", str(scripts)])
        api.join()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def test_the_command_warms_every_model_and_asks_every_endpoint(command, warming: Warming) -> None:
    code, out, err = command()
    assert (code, err) == (0, "")
    assert warming.manifest("org/tiny") is not None and warming.manifest("org/other") is not None
    rows = [line.split() for line in out.splitlines()]
    assert ["endpoint", "engine", "cold", "ms", "warm", "ms", "answer"] in rows
    assert {row[0]: row[1] for row in rows if row and row[0] in ("first", "second")} == {
        "first": "torch",
        "second": "torch",
    }


def test_json_puts_the_report_alone_on_stdout(command, tmp_path: Path) -> None:
    code, out, err = command("--json", "--report", str(tmp_path / "deep" / "report.json"))
    report = json.loads(out)
    assert code == 0
    assert set(report) == {"stack", "warmup", "endpoints"}
    assert [entry["model"] for entry in report["warmup"]] == ["org/tiny", "org/other"]
    assert set(report["warmup"][0]) >= {"commit", "files", "bytes", "seconds", "prepared", "not_prepared"}
    first = report["endpoints"][0]
    assert first["name"] == "first" and first["engine"] == "torch" and first["request"] == {"text": "Good."}
    assert first["response"] == {"label": "POSITIVE", "asked": {"text": "Good."}}
    assert first["cold_ms"] > 0 and first["warm_ms"] > 0
    assert first["commit"] == report["warmup"][0]["commit"]
    assert json.loads((tmp_path / "deep" / "report.json").read_text()) == report
    assert "org/tiny@main: " in err  # progress


def test_a_failing_model_is_named_and_every_endpoint_is_asked(command, api: Api, warming: Warming) -> None:
    warming.hub.fail("/api/models/org/tiny", "repository-not-found", times=9)
    cold = {"statusCode": 503, "body": {"error": {"type": "ColdCache"}}}
    api.functions["first"] = lambda event: cold
    code, out, err = command("--json")
    assert code == 1
    assert "warmup: org/tiny@main: org/tiny is not at" in err
    assert 'warmup: first: answers 503: {"error": {"type": "ColdCache"}}' in err
    first, second = json.loads(out)["endpoints"]
    assert first["request"] == {"text": "Good."} and "error" in first
    assert second["response"] == {"label": "NEGATIVE"}


def test_a_model_that_an_earlier_run_warmed_is_asked_though_the_hub_is_down(
    command, api: Api, warming: Warming
) -> None:
    command()
    warming.hub.fail("/api/*", "repository-not-found", times=9)
    code, out, _ = command("--json")
    assert code == 1
    assert [entry["response"]["label"] for entry in json.loads(out)["endpoints"]] == ["POSITIVE", "NEGATIVE"]


def test_a_failing_endpoint_is_named_with_its_error(command, api: Api) -> None:
    api.functions["first"] = lambda event: Failure("Runtime.ExitError", "exit status 137")
    api.functions["second"] = lambda event: {"statusCode": 503, "body": {"error": "cold"}}
    code, _, err = command()
    assert code == 1
    assert "warmup: first: Runtime.ExitError: exit status 137" in err
    assert 'warmup: second: answers 503: {"error": "cold"}' in err


def test_a_script_that_is_not_deployed_is_named_with_the_command(command, scripts: Path) -> None:
    (scripts / "third.py").write_text(SCRIPT.format(model="org/tiny"))
    code, _, err = command()
    assert code == 1
    assert "warmup: third: third.py is not deployed. Run make up" in err


def test_model_restricts_to_one_model_and_its_endpoints(command, warming: Warming) -> None:
    code, out, _ = command("--model", "org/other", "--json")
    report = json.loads(out)
    assert code == 0
    assert [entry["model"] for entry in report["warmup"]] == ["org/other"]
    assert [entry["name"] for entry in report["endpoints"]] == ["second"]
    assert warming.manifest("org/tiny") is None


def test_a_model_that_no_script_uses_is_a_usage_error(command) -> None:
    code, _, err = command("--model", "org/none")
    assert code == 2
    assert "--model: no script uses 'org/none'; they use org/other, org/tiny" in err


def test_a_broken_script_is_a_usage_error_with_file_and_line(command, scripts: Path) -> None:
    (scripts / "third.py").write_text("def handler(:")
    code, _, err = command()
    assert code == 2
    assert "third.py:1:" in err


def test_an_unknown_option_exits_with_2() -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--frobnicate"])
    assert exit_.value.code == 2


@pytest.mark.parametrize("number", ["0", "-1", "65", "1.5", "²", "many", "", "9" * 5000])
def test_a_number_out_of_range_is_a_usage_error(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--parallel", number])
    assert exit_.value.code == 2
    assert "is not a whole number from 1 to 64" in capsys.readouterr().err


def test_a_warm_up_of_another_version_is_named_with_the_command_that_deploys_it(command, api: Api) -> None:
    api.functions["warmup"] = lambda event: {"state": "running"}  # no `jobs`
    code, _, err = command()
    assert code == 1
    assert err.splitlines()[-1] == (
        "warmup: the stack was deployed by another version of this project (jobs: is missing). Run make up"
    )


@pytest.mark.parametrize("report", ["file/report.json", "folder"])
def test_a_report_that_cannot_be_written_is_named_and_nothing_makes_way_for_it(
    command, tmp_path: Path, report: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old.json").write_text("mine too")
    code, _, err = command("status", "--report", str(tmp_path / report))
    assert code == 2
    assert "--report: " in err and "cannot be written" in err
    assert (tmp_path / "file").read_text() == "mine"
    assert (tmp_path / "folder" / "old.json").read_text() == "mine too"


def test_dry_run_shows_files_and_bytes_and_downloads_nothing(command, warming: Warming) -> None:
    code, out, _ = command("--dry-run")
    assert code == 0
    assert "model.safetensors" in out and "README.md" not in out
    assert "1.0 MiB to download" in out
    assert not (warming.cache / "hub").exists()
    assert not any("resolve" in path for _, path in warming.asked())


def test_status_says_what_is_cold_and_what_is_warm(command) -> None:
    assert "org/tiny@main  cold" in command("status")[1]
    command("--model", "org/tiny")
    code, out, _ = command("status", "--json")
    entries = {entry["model"]: entry for entry in json.loads(out)["models"]}
    assert code == 0
    assert entries["org/other"]["cold"] is True
    assert entries["org/tiny"]["files"] == 3 and len(entries["org/tiny"]["commit"]) == 40


def test_verify_names_a_changed_file_and_warming_heals_it(command, warming: Warming) -> None:
    command()
    assert command("verify")[0] == 0
    path = warming.file("model.safetensors")
    path.write_bytes(b"x" + path.read_bytes()[1:])
    code, _, err = command("verify")
    assert code == 1
    assert "warmup: model.safetensors has another SHA-256 than it should" in err
    command()
    assert command("verify")[0] == 0


def test_prune_removes_what_no_script_uses_and_a_dry_run_only_says_so(
    command, scripts: Path, warming: Warming
) -> None:
    command()
    (scripts / "second.py").unlink()
    assert "hub/models--org--other" in command("prune", "--dry-run")[1]
    assert warming.manifest("org/other") is not None
    assert command("prune")[0] == 0
    assert warming.manifest("org/other") is None and warming.manifest("org/tiny") is not None
    assert not (warming.cache / "hub" / "models--org--other").exists()


def test_a_gateway_that_is_not_there_is_named_in_one_line(
    warming, tmp_path: Path, scripts: Path, capsys
) -> None:
    outputs = tmp_path / "outputs.json"
    arn = "arn:aws:lambda:us-east-1:000000000000:function:warmup"
    outputs.write_text(json.dumps({"warmupArn": arn, "functions": {}, "endpointUrl": "http://127.0.0.1:9"}))
    assert main(["status", "--outputs", str(outputs), "--scripts", str(scripts)]) == 1
    assert "warmup: cannot reach http://127.0.0.1:9. Is the stack up? make up" in capsys.readouterr().err


def test_a_warm_up_that_stops_at_its_deadline_is_started_again_until_it_is_done(
    command, api: Api, warming: Warming
) -> None:
    stall = Stall()
    warming.hub.fail("*/tiny/*/model.safetensors", stall)
    invocations: list[str] = []

    def warmup(event: dict[str, object]) -> dict[str, object]:
        if event["action"] != "status":
            invocations.append(str(event["job"]))
        first = len(invocations) == 1
        return handler(event, Context(lambda: 0 if first and stall.reached.is_set() else 900_000))

    api.functions["warmup"] = warmup
    code, out, _ = command("--model", "org/tiny")
    stall.release.set()
    assert code == 0
    assert len(invocations) == 2
    assert "org/tiny@main: round 2" in out
    assert warming.manifest() is not None


def test_a_lambda_that_dies_is_noticed_by_its_silence_and_started_again(
    command, api: Api, warming: Warming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.cli.run_jobs.STALE_SECONDS", 5.0)
    invocations: list[str] = []

    def warmup(event: dict[str, object]) -> dict[str, object] | None:
        if event["action"] == "status":
            return handler(event, Context())
        invocations.append(str(event["job"]))
        if len(invocations) > 1:
            return handler(event, Context())
        progress = {"org/tiny@main": {"phase": "fetch", "bytes_done": 5}}
        long_ago = time.time() - 60
        job = {"job": event["job"], "state": "running", "models": progress, "heartbeat": long_ago}
        replace_text(warming.cache / "jobs" / f"{event['job']}.json", json.dumps(job))
        return None

    api.functions["warmup"] = warmup
    assert command("--model", "org/tiny")[0] == 0
    assert len(invocations) == 2


TRUSTING = SCRIPT.replace('engine="torch"', 'revision="{commit}", trust_remote_code=True')


def test_what_runs_code_is_tried_in_the_function_for_it_and_named(
    command, api: Api, scripts: Path, tmp_path: Path
) -> None:
    (scripts / "first.py").write_text(TRUSTING.format(model="org/tiny", commit="a" * 40))
    code, _, err = command()
    assert code == 1 and "runs no code of repositories. Set allowRemoteCode to true" in err
    outputs = tmp_path / "outputs.json"
    outputs.write_text(json.dumps({**json.loads(outputs.read_text()), "warmupCodeArn": api.arn("code")}))
    tried = []

    def answer(error: str | None):
        def try_code(event):
            tried.append(event)
            return {"trials": [{"model": "org/tiny", "task": "text-classification", "error": error}]}

        return try_code

    api.functions["code"] = answer(None)
    code, _, err = command()
    assert (code, err) == (0, "")
    assert tried[0]["action"] == "try" and tried[0]["models"][0]["remote_code"] is True
    api.functions["code"] = answer("ImportError: needs einops")
    code, _, err = command()
    assert code == 1
    assert f"org/tiny@{'a' * 40}: its own code does not load it for text-classification: ImportError" in err
