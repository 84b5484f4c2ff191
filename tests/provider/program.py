"""A copy of the program that a test deploys, changes and destroys with the real AWS provider."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.existing_network import NetworkReader
from local.program import mock
from tests.infra.program import ROOT
from tests.provider.document import Document, preview_program, write_document
from tests.provider.schema import Schema
from tests.provider.terraform import Terraform


class Program:
    """A copy of the program whose scripts a test may change, applied step by step."""

    def __init__(
        self,
        folder: Path,
        schema: Schema,
        terraform: Terraform,
        stack: str = "dev",
        read_network: NetworkReader = mock.find_what_is_asked_for,
    ) -> None:
        self.scripts = folder / "inference"
        self._folder, self._schema, self._terraform, self._stack = folder, schema, terraform, stack
        self._read_network = read_network
        self._keys: dict[str, Any] = {}
        folder.mkdir(parents=True)
        for path in (ROOT / "__main__.py", *ROOT.glob("Pulumi*.yaml")):
            shutil.copy(path, folder)
        shutil.copytree(ROOT / "inference", self.scripts, ignore=shutil.ignore_patterns("__pycache__"))

    def up(self, **keys: Any) -> None:
        """Deploys with these keys over those of the steps before. A second time, nothing may change."""
        document = self.document(**keys)
        apply(self._terraform, document, str(self._keys))

    def document(self, **keys: Any) -> Document:
        """What `up` would deploy, which a preview has been run of too."""
        self._keys |= keys
        preview_program(self._folder, self._stack, self._schema, self._keys, self._read_network)
        return self._document()

    def up_as_the_engine(self, hooks: Callable[[], None], **keys: Any) -> None:
        """Deploys in the order of Pulumi's engine: what is new or changed, then `hooks`, then what goes.

        Terraform may delete a subnet before it takes the functions out of it.
        """
        before = self._document()
        self._keys |= keys
        after = self._document()
        kept = {**before.resources, **after.resources}
        self._terraform.apply(replace(after, resources=kept, names={**before.names, **after.names}))
        hooks()
        self._terraform.apply(after)
        drift = self._terraform.drift()
        assert not drift, f"{self._keys}: {drift}"

    def _document(self) -> Document:
        return write_document(self._folder, self._stack, self._schema, self._keys, self._read_network)

    def destroy(self) -> None:
        self._terraform.destroy()


def apply(terraform: Terraform, document: Document, what: str) -> None:
    """A second time, nothing may change."""
    terraform.apply(document)
    drift = terraform.drift()
    assert not drift, f"{what}: {drift}"
