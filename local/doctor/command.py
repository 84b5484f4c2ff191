"""`make doctor`: looks at everything that a deployment needs, and says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from local.doctor.account import check_credentials, check_limits, check_region
from local.doctor.machine import (
    Run,
    check_docker,
    check_emulation,
    check_image_store,
    check_local_stack,
    check_login,
    check_pulumi,
    check_python,
    run_command,
)
from local.doctor.needs import Stack, read_stack
from local.doctor.policy import LARGEST, least_policy, read_recorded, size_of, types_lacking
from local.doctor.report import Check, DoctorReport, Status, failed, ok, skipped, warning
from local.program.declare import ProgramError

_SIGNS = {Status.OK: "ok", Status.WARNING: "note", Status.FAILED: "FAILED", Status.SKIPPED: "-"}
_AFTER_SETTINGS = "the settings have to be mended first"


def examine(
    root: Path, stack: str, environ: Mapping[str, str] = os.environ, run: Run = run_command
) -> DoctorReport:
    """Looks at the machine, at `stack` as it is set, and at the account; nothing is changed anywhere."""
    checks = [check_python(), check_local_stack()]
    found, settings = _settings(root, stack)
    docker, engine = check_docker(environ, found.docker_host if found else None)
    checks += [docker, check_image_store(engine)]
    checks.append(
        check_emulation(engine, found.architecture) if found else skipped("architecture", _AFTER_SETTINGS)
    )
    cli = check_pulumi(root, run)
    checks += [cli, check_login(cli.status is not Status.FAILED, environ, run), settings]
    if found is None:
        names = ("AWS credentials", "region", "limits")
        return DoctorReport(stack, (*checks, *(skipped(name, _AFTER_SETTINGS) for name in names)), None)
    credentials = check_credentials(found.access)
    checks.append(credentials)
    account = "*"
    if credentials.status is Status.OK:
        account = found.access.account_id
        checks += [check_region(found.access, found.zones), *check_limits(found)]
    else:
        checks += [skipped(name, "no AWS credentials") for name in ("region", "limits")]
    recorded = read_recorded()
    policy = least_policy(found, recorded, account)
    if lacking := types_lacking(found, recorded):
        fix = "python -m tests.provider.actions records it; until then allow these by hand"
        checks.append(warning("policy", f"knows nothing of {', '.join(lacking)}", fix))
    if (size := size_of(policy)) > LARGEST:
        checks.append(
            warning(
                "policy",
                f"{size} characters, and a managed policy may have {LARGEST}",
                "make two of it, with half of the statements each",
            )
        )
    return DoctorReport(stack, tuple(checks), policy)


def _settings(root: Path, stack: str) -> tuple[Stack | None, Check]:
    name = "settings"
    try:
        found = read_stack(root, stack)
    except ProgramError as error:
        return None, failed(name, str(error), f"see docs/configuration.md and Pulumi.{stack}.yaml")
    scripts = found.count("hf-lambda:infra:InferenceFunction")
    return found, ok(name, f"stack {stack}, {scripts} endpoints, {len(found.resources)} resources")


def lines_of(report: DoctorReport) -> Iterator[str]:
    """The report for people."""
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        first, *others = check.found.splitlines() or [""]
        yield f"{_SIGNS[check.status]:7}{check.name:{width}}  {first}"
        indent = " " * (9 + width)
        yield from (f"{indent}{line}" for line in others)
        if check.fix:
            yield f"{indent}-> {check.fix}"
    if report.policy:
        yield ""
        yield f"the least IAM policy that deploys, warms and destroys stack {report.stack}:"
        yield json.dumps(report.policy, indent=2)
    yield ""
    if names := [each.name for each in report.failed]:
        yield f"{len(names)} {'thing' if len(names) == 1 else 'things'} to mend: {', '.join(names)}"
    else:
        yield f"ready: make up STACK={report.stack}"
