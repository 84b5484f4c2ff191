"""Clients that are installed once for all tests that ask with them."""

from __future__ import annotations

import pytest

from tests.local.service.other_clients import OtherClients


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> OtherClients:
    return OtherClients.installed(tmp_path_factory.mktemp("clients"))
