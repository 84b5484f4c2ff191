"""What functions are called."""

import pulumi

FUNCTION_NAME_LIMIT = 64 - len("-1a2b3c4")
"""Lambda's limit, less what Pulumi appends so that a replacement can stand beside what it replaces."""


def function_name(endpoint: str) -> str:
    """Tells the stacks of an account apart."""
    return f"{pulumi.get_project()}-{pulumi.get_stack()}-{endpoint}"
