"""`pulumi-language-python`: what lets the real Pulumi engine run a Python program, without Pulumi's own host.

Started with the engine's address, prints its port and serves the protocol of language hosts
(pulumirpc.LanguageRuntime). It runs the program in a process of its own: this module again, as
`--run SPECIFICATION`.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any

REPORTED = 32
"""Exit status of a program that has said itself what is wrong."""


def run_program(specification: dict[str, Any]) -> int:
    """Runs the program, connected to the engine as `specification["settings"]` says."""
    import pulumi
    from pulumi.runtime import Settings, configure, run_in_stack, set_all_config

    config = json.loads(os.environ["PULUMI_CONFIG"])
    set_all_config(config, json.loads(os.environ["PULUMI_CONFIG_SECRET_KEYS"]))
    configure(Settings(**specification["settings"]))
    program = specification["program"]
    os.chdir(specification["pwd"])
    sys.argv = [program]
    sys.path.insert(0, specification["pwd"])

    def run() -> None:
        runpy.run_path(program, run_name="__main__")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:  # noqa: BLE001 - as Pulumi's own host: whatever it is, the user sees it
        pulumi.log.error("Program failed with an unhandled exception:\n" + traceback.format_exc())
        return REPORTED
    return 0


def serve_host(engine_address: str) -> None:
    import grpc
    from google.protobuf import empty_pb2, json_format
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        language_pb2,
        language_pb2_grpc,
        plugin_pb2,
    )

    from tests.engine.plugins.provider import LARGE, serve

    class Host(language_pb2_grpc.LanguageRuntimeServicer):
        def __init__(self) -> None:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine_address, options=LARGE))

        def Handshake(self, request: Any, context: Any) -> Any:
            return language_pb2.LanguageHandshakeResponse()

        def GetPluginInfo(self, request: Any, context: Any) -> Any:
            return plugin_pb2.PluginInfo(version="0.0.0")

        def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
            return language_pb2.GetRequiredPluginsResponse()

        def GetRequiredPackages(self, request: Any, context: Any) -> Any:
            return language_pb2.GetRequiredPackagesResponse()

        def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
            return language_pb2.RuntimeOptionsResponse()

        def GetProgramDependencies(self, request: Any, context: Any) -> Any:
            return language_pb2.GetProgramDependenciesResponse()

        def About(self, request: Any, context: Any) -> Any:
            return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

        def InstallDependencies(self, request: Any, context: Any) -> Any:
            yield language_pb2.InstallDependenciesResponse(stdout=b"the tests' own environment is used\n")

        def Cancel(self, request: Any, context: Any) -> Any:
            return empty_pb2.Empty()

        def Run(self, request: Any, context: Any) -> Any:
            folder = Path(request.info.program_directory or request.pwd)
            program = folder / (request.info.entry_point or ".")
            program = program / "__main__.py" if program.is_dir() else program
            settings = {
                "monitor": request.monitor_address,
                "engine": engine_address,
                "project": request.project,
                "stack": request.stack,
                "parallel": request.parallel,
                "dry_run": request.dryRun,
                "organization": request.organization,
                "root_directory": request.info.root_directory,
            }
            given = json.dumps({"settings": settings, "pwd": request.pwd, "program": str(program.resolve())})
            inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            environment = {
                **inherited,
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            }
            code = self._run(
                [interpreter(request), "-P", "-u", __file__, "--run", given], request.pwd, environment
            )
            if code == REPORTED:
                return language_pb2.RunResponse(bail=True)
            return language_pb2.RunResponse(error=f"the program exited with status {code}" if code else "")

        def _run(self, command: list[str], folder: str, environment: dict[str, str]) -> int:
            with subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as program:
                streams = ((program.stdout, engine_pb2.INFO), (program.stderr, engine_pb2.WARNING))
                readers = [threading.Thread(target=self._forward, args=each) for each in streams]
                for reader in readers:
                    reader.start()
                for reader in readers:
                    reader.join()
                return program.wait()

        def _forward(self, stream: IO[bytes], severity: Any) -> None:
            for line in stream:
                text = line.decode(errors="replace")
                self._engine.Log(engine_pb2.LogRequest(severity=severity, message=text))

    def interpreter(request: Any) -> str:
        options = json_format.MessageToDict(request.info.options)
        folder = Path(request.info.root_directory or ".", options.get("virtualenv") or ".venv")
        python = folder / "bin" / "python"
        return str(python) if python.exists() else sys.executable

    serve(lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(), server))


if __name__ == "__main__":
    if "--run" in sys.argv:
        sys.exit(run_program(json.loads(sys.argv[sys.argv.index("--run") + 1])))
    serve_host(sys.argv[-1])
