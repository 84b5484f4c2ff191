"""inference/requirements.txt: what the image lacks, in a folder of its own, or refused with pip's reason."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local import packages
from local.program.functions import Function
from local.service.environment import environment

ROOT = Path(__file__).parents[2]


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """A wheel of one module that holds its version."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata + "".join(f"Requires-Dist: {need}\n" for need in needs))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The part of the repository that the packages are made of."""
    made = tmp_path / "root"
    for name in ("inference", "requirements"):
        (made / name).mkdir(parents=True)
    for lock in packages.LOCKS:
        shutil.copy(ROOT / "inference" / lock, made / "inference")
    shutil.copy(ROOT / "requirements/extra.py", made / "requirements")
    wheels = tmp_path / "wheels"
    wheel(wheels, "ours_first", "1.5", "ours_second", "numpy")
    wheel(wheels, "ours_second", "2.0")
    wheel(wheels, "ours_odd", "1.0", "numpy<1")
    return made


def want(root: Path, *lines: str) -> None:
    found = f"--no-index\n--find-links {root.parent / 'wheels'}\n"
    (root / "inference/requirements.txt").write_text(found + "".join(f"{line}\n" for line in lines))


@pytest.mark.slow
def test_only_what_the_image_lacks_is_installed_and_once(root: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    said: list[str] = []
    state.mkdir()
    assert packages.install(root, state, said.append) == []
    want(root, "ours_first")
    installed = ["ours-first 1.5", "ours-second 2.0"]
    assert packages.install(root, state, said.append) == installed
    modules = {path.name for path in (state / packages.FOLDER).glob("*.py")}
    assert modules == {"ours_first.py", "ours_second.py"}  # numpy is the image's
    assert packages.install(root, state, said.append) == installed
    assert len(said) == 1
    (root / "inference/requirements.txt").unlink()
    assert packages.install(root, state, said.append) == []
    assert not (state / packages.FOLDER).exists()


@pytest.mark.slow
def test_what_does_not_go_with_the_locks_is_refused_and_what_was_there_stays(
    root: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    want(root, "ours_second")
    packages.install(root, state, lambda line: None)
    want(root, "ours_odd")
    with pytest.raises(packages.PackagesError, match="does not go with the packages of the image"):
        packages.install(root, state, lambda line: None)
    assert (state / packages.FOLDER / "ours_second.py").exists()


def test_constraints_are_the_locks_without_hashes_and_with_markers() -> None:
    lock = (
        "a==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:aa\nb.c==2 \\\n    --hash=sha256:bb\n# d==3\n"
    )
    code = f"import extra; print(extra.constraints_of([{lock!r}]), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "requirements", capture_output=True, text=True, check=True
    )
    assert done.stdout == "a==1.0 ; sys_platform == 'linux'\nb.c==2\n"


@pytest.mark.parametrize(("target", "sees"), [("full", True), ("slim", False)])
def test_functions_with_the_full_image_alone_see_them(tmp_path: Path, target: str, sees: bool) -> None:
    (tmp_path / "packages").mkdir()
    function = Function("f", "f", "arn", "f.handler", {}, 512, 3, None, False, target)
    variables = environment(
        function, root=ROOT, tmp=tmp_path, cache=None, extra={}, packages=tmp_path / "packages"
    )
    path = variables["PYTHONPATH"].split(os.pathsep)
    assert path[:2] == [str(ROOT / "inference"), str(ROOT)]
    assert (str(tmp_path / "packages") in path) is sees
