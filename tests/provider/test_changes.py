"""The real provider plans for a change of each config key what the engine does with the stand-in provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.changes import CHANGES
from tests.engine.stack import Changes, short
from tests.infra.program import ROOT
from tests.provider.aws.server import emulated_aws
from tests.provider.document import Document, write_document
from tests.provider.schema import Schema
from tests.provider.terraform import Installed, Terraform

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dev(
    installed: Installed, schema: Schema, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Terraform, Document]]:
    """The stack dev, applied, and what it consists of."""
    folder = tmp_path_factory.mktemp("dev")
    with emulated_aws(folder / "aws.log") as address:
        terraform, document = Terraform(installed, folder, address), write_document(ROOT, "dev", schema)
        terraform.apply(document)
        yield terraform, document


@pytest.mark.parametrize("key", CHANGES)
def test_the_provider_plans_what_the_engine_does(dev: tuple[Terraform, Document], schema: Schema, key: str):
    terraform, before = dev
    after = write_document(ROOT, "dev", schema, CHANGES[key].keys(key))
    names = {address: short(*name) for address, name in {**before.names, **after.names}.items()}
    planned = terraform.plan(after)

    def named(addresses: frozenset[str]) -> set[str]:
        return {names[address] for address in addresses}

    assert _of_aws(CHANGES[key].changes) == Changes.of(
        creates=named(planned.creates),
        updates=named(planned.updates),
        replaces=named(planned.replaces),
        deletes=named(planned.deletes),
    )


def _of_aws(changes: Changes) -> Changes:
    kinds = {
        kind: {each for each in found if not each.startswith("docker:")}
        for kind, found in vars(changes).items()
    }
    return Changes.of(**kinds)
