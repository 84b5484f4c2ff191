"""Starts, warms and stops the local stack."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from discovery import read_scripts
from hf_lambda.atomic import replace_text
from local import packages, processes
from local.hub.address import HubAddress
from local.layout import Folder
from local.program.declare import declare
from local.program.functions import Function, Program
from local.releases import publish
from local.service.isolation import NONE, NOTICE, OPEN_NOTICE, available, closes_network
from warmup.in_image.prepare import REPORT
from warmup.protocol.outputs import LOCAL, StackOutputs
from warmup.protocol.reports import WarmReport

if TYPE_CHECKING:
    from local.docker.engine import ContainerEngine

READY_S = 60
TORCHVISION = (
    "warning: with torchvision transformers prepares images by other code in plain scripts: their answers "
    "may differ from those without it"
)
Say = Callable[[str], None]


class StackError(Exception):
    """What kept the stack from coming up; the text says what to do."""


@dataclass(frozen=True)
class Choices:
    """What `make up` can be told."""

    hub: str | None = None
    """Address of a Hub to warm from; None for the embedded one."""
    models: Sequence[str] = ()
    """More of what the embedded Hub serves: folders laid out as org/name, or `org/name=folder`."""
    container: bool = False
    follows: bool = False
    """Whether edits are to be followed."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Where hub, gateway, page and bucket have to listen; else anywhere."""


@dataclass(frozen=True)
class RunningStack:
    """A stack that is up."""

    program: Program
    outputs: StackOutputs
    hub: HubAddress


@contextlib.contextmanager
def locked(folder: Folder, name: str = "lock") -> Iterator[None]:
    """Hold the lock of the stack: one `make up` or `make down` at a time. Raises StackError."""
    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.path / name)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise StackError("another `make up` or `make down` is at work here; wait for it") from None
    try:
        yield
    finally:
        lock.release()


def start(folder: Folder, choices: Choices, say: Say) -> RunningStack:
    """Replace whatever runs by the stack that the program declares now. Raises StackError, ProgramError."""
    _check_emulator(folder)
    program = declare(folder.root)
    say(f"declared by the program: {', '.join(function.name for function in program.functions)}")
    for warning in program.warnings:
        say(f"warning: {warning}")
    stop(folder)
    shutil.rmtree(folder.logs, ignore_errors=True)
    for name in ("efs", "logs", "run", "tmp"):
        (folder.path / name).mkdir(exist_ok=True)
    _compile(folder)
    if not choices.container:
        install_packages(folder, say)
    hub = _start_hub(folder, choices, say)
    lay_models(folder, program, hub, say, prepare=not choices.container)
    if choices.follows:  # edits serve at once
        program = ungated(program)
    elif not choices.container:  # whose images are those of the code that is there now
        program = publish(program, folder)
    _write_program(folder, program)
    url = _start_gateway(folder, choices, program, hub, say)
    return RunningStack(program, _write_outputs(folder, program, url), hub)


def follow(folder: Folder, running: RunningStack, program: Program) -> RunningStack:
    """`running` as `program` declares it now, on disk; the gateway has to be told."""
    assert running.outputs.endpoint_url is not None
    program = ungated(program)
    _compile(folder, anew=True)
    _write_program(folder, program)
    outputs = _write_outputs(folder, program, running.outputs.endpoint_url)
    return RunningStack(program, outputs, running.hub)


def ungated(program: Program) -> Program:
    """Without `release: gated`, whose versions wait for a warm-up to let them serve."""
    outputs = {key: value for key, value in program.outputs.items() if key != "release"}
    return replace(program, outputs=outputs)


def serve_more(folder: Folder, choices: Choices, hub: HubAddress, say: Say) -> None:
    """Start the embedded Hub anew, at its address, with what stands in for the models of today's scripts."""
    processes.stop(folder.run / "hub.json")
    _start_hub(folder, choices, say, port=hub.url.rpartition(":")[2])


def _write_program(folder: Folder, program: Program) -> None:
    # It holds the functions' variables.
    replace_text(folder.program, json.dumps(program.to_json(), indent=2), mode=0o600)


def _write_outputs(folder: Folder, program: Program, url: str) -> StackOutputs:
    urls = {each.name: f"{url}/urls/{each.name}/" for each in program.functions if each.is_endpoint}
    outputs = {**program.outputs, "stack": LOCAL, "endpointUrl": url, "functionUrls": urls}
    replace_text(folder.outputs, json.dumps(outputs, indent=2) + "\n")
    return StackOutputs.from_json(outputs)


def stop(folder: Folder) -> bool:
    """End every process of the stack. Returns whether there was one; the cache stays."""
    records = sorted(folder.run.glob("*.json"), key=lambda record: record.stem != "gateway")
    stopped = [processes.stop(record) for record in records]
    if (folder.run / "containers").exists():
        _remove_containers(folder)
    for name in ("run", "tmp"):
        shutil.rmtree(folder.path / name, ignore_errors=True)
    folder.outputs.unlink(missing_ok=True)
    return any(stopped)


def warm(folder: Folder, model: str | None = None) -> tuple[int, WarmReport]:
    """Run the warm-up command against the running stack: its exit code and its report.

    model: this one alone, and the endpoints that use it.
    """
    report = folder.path / "warmup.json"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "warmup", "--outputs", str(folder.outputs)]
    command += ["--json", "--report", str(report), *(["--model", model] if model else [])]
    code = subprocess.run(command, cwd=folder.root, stdout=subprocess.DEVNULL, check=False).returncode
    if not report.exists():
        return code, WarmReport(LOCAL)
    return code, _with_images(folder, WarmReport.from_json(json.loads(report.read_text())))


def lay_models(folder: Folder, program: Program, hub: HubAddress, say: Say, *, prepare: bool) -> None:
    """What functions have in their images; `prepare`: here, where no image is built."""
    in_image = [function for function in program.functions if function.models]
    if in_image:
        _fetch_for_images(folder, in_image, hub, say)
        if prepare:
            _prepare_for_images(folder, in_image, say)


def _fetch_for_images(folder: Folder, functions: Sequence[Function], hub: HubAddress, say: Say) -> None:
    """What the operator of a stack in AWS does before `pulumi up`, into a folder of the local stack's own."""
    names = ", ".join(function.name for function in functions)
    say(f"fetching the models that are part of images: {names} ...")
    command = [sys.executable, "-m", "warmup", "fetch", "--into", str(folder.in_image)]
    command += [f"--endpoint={function.name}" for function in functions]
    command += ["--hub", hub.upstream or hub.url]
    if subprocess.run(command, cwd=folder.root, stdout=subprocess.DEVNULL, check=False).returncode:
        raise StackError(f"the models of {names} were not fetched; see above")


def _prepare_for_images(folder: Folder, functions: Sequence[Function], say: Say) -> None:
    """What the build of an image does. What is refused is in the report, and is what its endpoint answers."""
    for function in functions:
        say(f"preparing the models of {function.name} ...")
        models, args = folder.in_image / function.name, function.image_args
        command = [sys.executable, "-m", "warmup", "prepare", "--folder", str(models)]
        command += ["--endpoint", function.name, "--memory-mb", args["MEMORY_MB"]]
        environment = {**os.environ, "PREPARE_TOLERANCE": args["TOLERANCE"]}
        with folder.log(f"image-{function.name}").open("w") as log:
            subprocess.run(command, cwd=folder.root, env=environment, stdout=log, check=False)
        report = models / REPORT
        if not report.exists():
            raise StackError(f"the models of {function.name} were not prepared; see above")
        shutil.copy(report, folder.image_report(function.name))


def _with_images(folder: Folder, report: WarmReport) -> WarmReport:
    """`report`, and what was made of the models that are in images."""
    names = sorted(path.stem for path in folder.image_reports.glob("*.json"))
    made = [found for name in names if (found := folder.made_in_image(name))]
    warmed = tuple(model for each in made for model in each.warmup)
    commits = {model.repo_id: model.commit for model in warmed}
    endpoints = tuple(
        replace(each, commit=each.commit or commits.get(each.repo_id or "")) for each in report.endpoints
    )
    return replace(
        report,
        warmup=(*report.warmup, *warmed),
        endpoints=endpoints,
        errors=(*report.errors, *(error for each in made for error in each.errors)),
        advice=(*report.advice, *(text for each in made for text in each.advice)),
    )


def _check_emulator(folder: Folder) -> None:
    if not sys.platform.startswith("linux"):
        raise StackError("the emulator is a Linux program; `make up` runs it in a container elsewhere")
    if not os.access(folder.emulator, os.X_OK):
        raise StackError(f"{folder.emulator} is missing; run `make setup`")


def _compile(folder: Folder, *, anew: bool = False) -> None:
    """As in the image: instances cannot, as they see the code read-only.

    anew: the scripts alone, whatever is there: two edits within a second may look the same to Python.
    """
    command = [sys.executable, "-m", "compileall", "-q"]
    command += ["-f", "inference"] if anew else ["inference", "hf_lambda", "discovery", "warmup"]
    subprocess.run(command, cwd=folder.root, stderr=subprocess.DEVNULL if anew else None, check=False)


def install_packages(folder: Folder, say: Say) -> None:
    """As the full image has them: constrained by its locks, seen by functions alone."""
    try:
        found = packages.install(folder.root, folder.path, say)
    except packages.PackagesError as error:
        raise StackError(f"inference/requirements.txt cannot be installed:\n{error}") from None
    if found:
        say(f"from inference/requirements.txt, for functions with the full image: {', '.join(found)}")
    if any(line.startswith("torchvision ") for line in found):
        say(TORCHVISION)


def _start_hub(folder: Folder, choices: Choices, say: Say, port: str = "") -> HubAddress:
    stand_ins = folder.path / "models"
    if choices.hub is None:
        if not stand_ins.exists():
            say("building the stand-in models: under a minute, once ...")
        # Those of other scripts are built when such a script comes: some are trained for minutes.
        used = {each.model for script in read_scripts(folder.root / "inference") for each in script.pipelines}
        building = [sys.executable, "-m", "local.models", "--into", str(stand_ins), "--for", *sorted(used)]
        if subprocess.run(building, cwd=folder.root, check=False).returncode:
            raise StackError("the stand-in models were not built; see above")
    given = [str(stand_ins), *choices.models] if choices.hub is None else choices.models
    models = [argument for each in given for argument in ("--models", each)]
    (folder.run / "hub.port").unlink(missing_ok=True)
    port = port or str(choices.ports.get("hub", 0))
    taken = _background(folder, "hub", [sys.executable, "-m", "local.hub", "--port", port, *models])
    hub = HubAddress(f"http://127.0.0.1:{taken}", choices.hub)
    say(f"Hub: {hub.upstream or f'{hub.url} (embedded)'}")
    return hub


def _start_gateway(folder: Folder, choices: Choices, program: Program, hub: HubAddress, say: Say) -> str:
    command = [sys.executable, "-m", "local.service.daemon", "--hub", hub.url]
    command += ["--upstream", hub.upstream] if hub.upstream else []
    bucket = _start_bucket(folder, choices, program, say)
    command += ["--bucket", bucket] if bucket else []
    if choices.container:
        _build_images(folder, program, say)
        command.append("--container")
    else:
        isolation = available(folder.efs, folder.path)
        if isolation == NONE:
            say(NOTICE)
        if bucket and not closes_network(isolation):
            say(OPEN_NOTICE)
        command += ["--isolation", isolation]
    if "gateway" in choices.ports:
        command += ["--port", str(choices.ports["gateway"])]
    elif folder.gateway_port.exists():
        command += ["--port", folder.gateway_port.read_text()]
    command += ["--page-port", str(choices.ports.get("page", 0))]
    port = _background(folder, "gateway", command)
    folder.gateway_port.write_text(str(port))
    say(f"gateway: http://127.0.0.1:{port} (the Lambda Invoke API)")
    return f"http://127.0.0.1:{port}"


def _start_bucket(folder: Folder, choices: Choices, program: Program, say: Say) -> str | None:
    """An S3, for a stack whose relay stages models in it or whose requests name objects of it."""
    staged = next((each.bucket for each in program.functions if each.is_relay), None)
    inputs = next((each.input_bucket for each in program.functions if each.input_bucket), None)
    names = [name for name in (staged, inputs) if name]
    if not names:
        return None
    command = [sys.executable, "-m", "local.bucket", "--folder", str(folder.path / "bucket")]
    command += [part for name in names for part in ("--name", name)]
    command += ["--port", str(choices.ports.get("bucket", 0))]
    url = f"http://127.0.0.1:{_background(folder, 'bucket', command)}"
    if staged:
        say(f"S3: {url} (models go through it to the warm-up, which reaches no Hub)")
    if inputs:
        say(f"S3: {url} has the bucket {inputs}; curl -T a.jpg {url}/{inputs}/... puts an object there")
    return url


def _background(folder: Folder, name: str, command: Sequence[str]) -> int:
    """Start a server and return the port that it writes down once it listens."""
    port_file, log = folder.run / f"{name}.port", folder.log(name)
    log.unlink(missing_ok=True)
    command = [*command, "--port-file", str(port_file)]
    process = processes.start(command, record=folder.run / f"{name}.json", log=log, cwd=folder.root)
    deadline = time.monotonic() + READY_S
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise StackError(f"the {name} did not start; {log} says:\n{said}")
        time.sleep(0.02)
    return int(port_file.read_text())


def _build_images(folder: Folder, program: Program, say: Say) -> None:
    from local.docker import images
    from local.docker.engine import EngineError, find_engine

    try:
        engine = find_engine()
        (folder.run / "containers").touch()
        targets = {each.target or "full" for each in program.functions}
        targets |= {"full"} if any(each.models for each in program.functions) else set()
        for target in sorted(targets, reverse=True):
            say(f"building the {target} image (the first time takes minutes) ...")
            images.build(engine, target, root=folder.root, log=folder.log(f"image-{target}"))
        for function in program.functions:
            if function.models:
                _build_with_models(engine, folder, function, say)
    except EngineError as error:
        raise StackError(str(error)) from error


def _build_with_models(engine: "ContainerEngine", folder: Folder, function: Function, say: Say) -> None:
    from local.docker import images

    say(f"building the image of {function.name}, with its models ...")
    bases = {"BASE_IMAGE": images.tag(function.target or "full"), "FULL_IMAGE": images.tag("full")}
    name = images.build_with_models(
        engine,
        function.name,
        folder.in_image / function.name,
        {**function.image_args, **bases},
        root=folder.root,
        log=folder.log(f"image-{function.name}"),
    )
    reading = ["run", "--rm", "--network", "none", "--entrypoint", "cat", name, f"{function.models}/{REPORT}"]
    folder.image_report(function.name).write_text(engine.text(*reading))


def _remove_containers(folder: Folder) -> None:
    from local.docker.engine import EngineError, find_engine
    from local.service.container import Containers

    with contextlib.suppress(EngineError):
        Containers(
            engine=find_engine(), cache=folder.efs, state=folder.path, binary=folder.emulator
        ).remove_all()
