"""The emulator out of the wheel that carries it."""

import os
import platform
import subprocess
import zipfile

import pytest

from local import install


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "aws_sam_cli-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("samcli/local/rapid/aws-lambda-rie-x86_64", "for x86_64")
        archive.writestr("samcli/local/rapid/aws-lambda-rie-arm64", "for arm64")
        archive.writestr("aws_sam_cli-1.dist-info/licenses/LICENSE", "Apache")
        archive.writestr("samcli/templates/LICENSE", "of something else")
    return path


def test_the_emulator_of_the_machine_is_unpacked_with_its_licence(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        install.unpack(archive, "aws-lambda-rie-arm64", tmp_path / "bin")
    emulator = tmp_path / "bin/aws-lambda-rie"
    assert emulator.read_text() == "for arm64"
    assert os.access(emulator, os.X_OK)
    assert (tmp_path / "bin/aws-lambda-rie.LICENSE").read_text() == "Apache"
    assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == [
        "aws-lambda-rie",
        "aws-lambda-rie.LICENSE",
    ]


def test_what_pip_said_is_shown_when_the_wheel_cannot_be_had(monkeypatch, capfd, tmp_path):
    def refuse(command, **options):
        raise subprocess.CalledProcessError(1, command, stderr="no matching distribution\n")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(install, "FOLDER", tmp_path)
    assert install.main() == 1
    assert "no matching distribution" in capfd.readouterr().err


def test_a_machine_without_an_emulator_is_named(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(install, "FOLDER", tmp_path)
    assert install.main() == 1
    assert "riscv64" in capfd.readouterr().err
