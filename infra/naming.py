"""What functions, the repository and the log groups of a stack are called."""

import re
from collections.abc import Iterable

import pulumi

FUNCTION_NAME_LIMIT = 64 - len("-1a2b3c4")
"""Lambda's limit, less what Pulumi appends so that a replacement can stand beside what it replaces."""
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
_FUNCTION_NAME = re.compile(r"[A-Za-z0-9_-]+")
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
_REPOSITORY_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


RELEASE = "release"
"""What the function is called that lets new versions serve."""
RELAY = "relay"
"""What the function is called that brings models into the bucket."""
REMOTE_CODE = "warmup-code"
"""What the function is called that runs code of repositories."""


def stack_prefix() -> str:
    """Tells the stacks of an account apart."""
    return f"{pulumi.get_project()}-{pulumi.get_stack()}"


def name_tag(part: str) -> str:
    """The `Name` tag by which a stack knows, in a network that others use too, what it has made itself."""
    return f"{stack_prefix()}-{part}"


def function_name(endpoint: str) -> str:
    return f"{stack_prefix()}-{endpoint}"


def repository_name() -> str:
    return stack_prefix().lower()


def log_group_name(endpoint: str) -> str:
    return f"/aws/lambda/{function_name(endpoint)}"


def flow_log_group_name() -> str:
    return f"/aws/vpc/{stack_prefix()}"


def refused_names(endpoints: Iterable[str]) -> list[str]:
    """One line for each name that AWS would refuse after other things have been made."""
    prefix, found = stack_prefix(), []
    if not _FUNCTION_NAME.fullmatch(prefix):
        found.append(
            f"functions would be called {prefix}-...; must be letters, digits, - and _; rename the stack"
        )
    if not _REPOSITORY_NAME.fullmatch(repository_name()):
        found.append(
            f"the image repository would be called {repository_name()}; must have single -, _ or . between "
            "letters and digits; rename the stack"
        )
    for endpoint in endpoints:
        name = function_name(endpoint)
        if len(name) > FUNCTION_NAME_LIMIT:
            found.append(
                f"{endpoint}: {name} is {len(name)} characters; must be at most {FUNCTION_NAME_LIMIT}; "
                "shorten the stack's"
            )
    return found
