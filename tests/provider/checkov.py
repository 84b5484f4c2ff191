"""Checkov's rules over the stack prod as Terraform JSON: `make checkov`.

Nothing fails but what `ACCEPTED` lists with its reason, and what is listed there does fail: an entry that has
become superfluous is an error too. Offline: no rule is downloaded, nothing is sent.

Exit status: 0 all held; 1 something did not, the last lines say what; 77 without Terraform or its provider.
"""

from __future__ import annotations

import fnmatch
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.program import ROOT
from tests.provider.document import write_document
from tests.provider.terraform import Terraform, find_terraform

CHECKOV = ROOT / ".local" / "checkov" / "bin" / "checkov"
"""From requirements/checkov.txt; `.ci/checkov` installs it."""
EGRESS = ("relay", "nat", "ipv6")
VARIANTS: dict[str, dict[str, Any]] = {
    "prod": {},
    **{f"prod, egress {mode}": {"egress": mode} for mode in EGRESS},
    "prod with all that stores": {
        "egress": "relay",
        "alarmEmail": "ops@example.org",
        "monthlyBudgetUsd": 50,
        "hfToken": "hf_x",
        "allowRemoteCode": True,
        "functionUrl": "iam",
        "async": True,
        "keepWarm": "rate(5 minutes)",
    },
}
"""What of prod is looked at: as it is, and with keys that bring more resources."""


@dataclass(frozen=True)
class Accepted:
    check: str
    resource: str
    """A pattern of names."""
    reason: str


ACCEPTED = (
    Accepted(
        "CKV_AWS_272",
        "hf-lambda-prod-*",
        "Code signing is of ZIP archives alone: Lambda takes no signing configuration for a container image. "
        "Functions refer to their image by its digest, and ECR lets nobody move its tags.",
    ),
    Accepted(
        "CKV_AWS_45",
        "hf-lambda-prod-*",
        "The commits of models, which MODELS names, have forty digits, as keys of AWS have: they are public.",
    ),
    Accepted(
        "CKV_AWS_297",
        "*-keep-warm",
        "What the schedule sends is a ping of the program's own, the same for everybody.",
    ),
    Accepted(
        "CKV_AWS_117",
        "hf-lambda-prod-relay",
        "The relay is what reaches the internet, so that nothing in the network has to: it has neither the "
        "cache nor a way into the network.",
    ),
    Accepted(
        "CKV2_AWS_57",
        "warmup-hf-token",
        "The Hub has no API that issues a token: its owner makes a new one and sets it with `pulumi config "
        "set --secret hfToken`.",
    ),
    *(
        Accepted(check, "staging", reason)
        for check, reason in (
            (
                "CKV_AWS_21",
                "Versions would keep, and bill, what is deleted once it is in the cache: copies of files "
                "that the Hub has.",
            ),
            (
                "CKV_AWS_144",
                "Copies of files that the Hub has, for a day at most: what is lost is downloaded again.",
            ),
            (
                "CKV_AWS_18",
                "Two roles alone may read it, over an endpoint of the VPC or as the relay; data events of "
                "CloudTrail tell who did, without a second bucket that `pulumi destroy` would have to empty.",
            ),
            ("CKV2_AWS_62", "Nothing waits for its files but the warm-up, which looks itself."),
        )
    ),
)


@dataclass(frozen=True)
class Failure:
    check: str
    resource: str
    what: str

    def __str__(self) -> str:
        return f"{self.check} {self.resource}: {self.what}"


def failures(report: Mapping[str, Any] | list[Mapping[str, Any]]) -> list[Failure]:
    """What failed by checkov's JSON; raises ValueError where it read no resource."""
    parts = report if isinstance(report, list) else [report]
    results = [part["results"] for part in parts if "results" in part]
    if not any(each["passed_checks"] for each in results):
        raise ValueError(f"checkov checked nothing: {json.dumps(report)[:500]}")
    return [
        # Of Terraform JSON it says `resource.<name>`, or `<type>.<name>` where a rule looks at several.
        Failure(each["check_id"], each["resource"].partition(".")[2], each["check_name"])
        for result in results
        for each in result["failed_checks"]
    ]


def mistakes(found: Iterable[Failure], accepted: Iterable[Accepted] = ACCEPTED) -> list[str]:
    """A line for each failure that is not listed, and for each entry of the list that nothing matches."""
    listed, failed = list(accepted), set(found)

    def is_of(entry: Accepted, failure: Failure) -> bool:
        return entry.check == failure.check and fnmatch.fnmatchcase(failure.resource, entry.resource)

    unlisted = [str(each) for each in failed if not any(is_of(entry, each) for entry in listed)]
    superfluous = [
        f"{entry.check} {entry.resource}: listed as failing, and nothing of it fails; take it out of ACCEPTED"
        for entry in listed
        if not any(is_of(entry, each) for each in failed)
    ]
    return sorted(unlisted) + superfluous


def main() -> int:
    installed = find_terraform()
    if isinstance(installed, str):
        sys.stderr.write(f"skipped: {installed}\n")
        return 77
    with tempfile.TemporaryDirectory(prefix="checkov-") as name:
        folder = Path(name)
        schema = Terraform(installed, folder / "schema", "http://127.0.0.1:9").schema()
        for number, keys in enumerate(VARIANTS.values()):
            document = write_document(ROOT, "prod", schema, keys).to_json(installed.version)
            of_variant = folder / "stacks" / str(number)
            of_variant.mkdir(parents=True)
            (of_variant / "main.tf.json").write_text(json.dumps(document, indent=1))
        report = _ask(folder / "stacks")
    found = failures(report)
    for line in (wrong := mistakes(found)):
        sys.stdout.write(f"{line}\n")
    parts = report if isinstance(report, list) else [report]
    passed = sum(len(part["results"]["passed_checks"]) for part in parts)
    total = f"{passed} checks passed, {len(found)} failed, {len(wrong)} are not as ACCEPTED lists them"
    sys.stdout.write(f"checkov: {total}\n")
    return 1 if wrong else 0


def _ask(folder: Path) -> Any:
    command = [str(CHECKOV), "--directory", str(folder), "--framework", "terraform_json", "--output", "json"]
    # Its exit status says that something failed, which ACCEPTED may list.
    options = ["--compact", "--skip-download", "--soft-fail"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"checkov: {done.stderr[-2000:] or done.stdout[-2000:]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
