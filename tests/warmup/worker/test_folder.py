"""Models in folders beside the scripts: warmed as models of the Hub are, without the Hub."""

import gzip
import io
import tarfile
import threading
from pathlib import Path

import pytest

from tests.warmup.support import SNAPSHOT_BYTES, Warming, model_folder
from warmup.protocol.errors import WarmupError
from warmup.worker.folder import FolderSource

MINE = {"model": "./models/mine", "task": "text-classification", "engine": "torch"}


@pytest.fixture
def folder(warming: Warming, tmp_path: Path) -> Path:
    return model_folder(tmp_path / "scripts/models/mine", seed=3)


def manifest(warming: Warming):
    found = warming.manifest("./models/mine")
    assert found is not None
    return found


def test_a_folder_is_warmed_and_published_without_the_hub(warming: Warming, folder: Path) -> None:
    assert warming.warm(MINE)["state"] == "done"
    found = manifest(warming)
    assert found.bytes == SNAPSHOT_BYTES
    assert {file.path for file in found.files} == {"config.json", "model.safetensors", "tokenizer.json"}
    snapshot = found.snapshot_path(warming.cache)
    for name in ("config.json", "model.safetensors"):
        assert (snapshot / name).read_bytes() == (folder / name).read_bytes()
        assert (snapshot / name).is_symlink() and not (snapshot / name).readlink().is_absolute()
    assert not warming.hub.requests
    assert warming.invoke("verify", MINE)["state"] == "done"


def test_what_is_in_it_says_which_model_it_is(warming: Warming, folder: Path) -> None:
    warming.warm(MINE)
    first = manifest(warming).commit
    (folder / ".hidden").write_text("not of the model")
    (folder / "model.safetensors").touch()
    warming.warm(MINE)
    assert manifest(warming).commit == first
    (folder / "config.json").write_text('{"model_type": "bert", "seed": 4}')
    warming.warm(MINE)
    assert manifest(warming).commit != first
    assert '"seed": 4' in (manifest(warming).snapshot_path(warming.cache) / "config.json").read_text()


def test_a_damaged_copy_is_made_again(warming: Warming, folder: Path) -> None:
    warming.warm(MINE)
    copy = manifest(warming).snapshot_path(warming.cache) / "model.safetensors"
    good = copy.read_bytes()
    copy.write_bytes(b"short")
    assert warming.warm(MINE)["state"] == "done"
    assert copy.read_bytes() == good == (folder / "model.safetensors").read_bytes()


def test_prune_keeps_a_folder_that_is_used_and_removes_it_later(warming: Warming, folder: Path) -> None:
    warming.warm(MINE)
    warming.invoke("prune", MINE)
    assert warming.manifest("./models/mine")
    warming.invoke("prune", {**MINE, "model": "org/tiny"})
    assert warming.manifest("./models/mine") is None


def test_an_archive_of_sagemaker_is_the_model_that_is_packed_in_it(warming: Warming, folder: Path) -> None:
    warming.warm(MINE)
    unpacked = manifest(warming).commit
    with tarfile.open(folder.parent / "model.tar.gz", "w:gz") as archive:
        for path in folder.iterdir():
            archive.add(path, path.name)
    for path in folder.iterdir():
        path.unlink()
    (folder.parent / "model.tar.gz").rename(folder / "model.tar.gz")
    assert warming.warm(MINE)["state"] == "done"
    assert manifest(warming).commit == unpacked


def hostile(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return held.getvalue()


def claims(size: int) -> bytes:
    """An archive whose only member says that it is so large."""
    member = tarfile.TarInfo("model.safetensors")
    member.size = size
    return gzip.compress(member.tobuf() + b"x" * 1024)


def long_name(size: int) -> bytes:
    """An archive with a header of `size` bytes, which a reader would hold in memory."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, size
    return gzip.compress(header.tobuf() + bytes(size) + tarfile.TarInfo("a").tobuf())


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo("config.json")
    member.type, member.linkname = kind, target
    return member


ARCHIVES = {
    "a name that leads out": hostile(tarfile.TarInfo("../../evil"), b"x"),
    "a link that leads out": hostile(link(tarfile.SYMTYPE, "/etc/passwd")),
    "a hard link that leads out": hostile(link(tarfile.LNKTYPE, "../../secret")),
    "a device": hostile(link(tarfile.CHRTYPE, "")),
    "a pipe": hostile(link(tarfile.FIFOTYPE, "")),
    "a size that no disk has": claims(1 << 45),
    "a header that fills the memory": long_name(2 << 20),
    "a name that is absolute and a link on its way": hostile(tarfile.TarInfo("a/../../evil"), b"x"),
    "flipped bytes": hostile(tarfile.TarInfo("config.json"), b"{}" * 4096)[:40] + b"\xff" * 200,
    "no archive": b"PK",
    "a cut one": hostile(tarfile.TarInfo("config.json"), b"{}" * 4096)[:-20],
    "nothing": b"",
}


BOUNDS = {
    "a size that no disk has": "'model.safetensors' has 35,184,372,088,832 bytes, and ",
    "a header that fills the memory": "a header of 2097152 bytes",
}
"""Where something else would be said of it, had nobody looked."""


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_that_is_no_model_is_refused_and_leaves_nothing(
    what: str, warming: Warming, tmp_path: Path
) -> None:
    folder = tmp_path / "scripts/models/mine"
    folder.mkdir(parents=True)
    (folder / "model.tar.gz").write_bytes(ARCHIVES[what])
    before = set(tmp_path.rglob("*evil*"))
    error = warming.error(MINE)
    assert error["kind"] == "unusable" and "model.tar.gz cannot be unpacked: " in error["message"]
    assert BOUNDS.get(what, "") in error["message"]
    assert set(tmp_path.rglob("*evil*")) == before
    assert warming.manifest("./models/mine") is None


def test_an_archive_of_too_many_files_is_refused_before_they_are_written(
    warming: Warming, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmup.worker.folder.MOST_FILES", 3)
    folder = tmp_path / "scripts/models/mine"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        for number in range(4):
            archive.addfile(tarfile.TarInfo(f"{number}.json"))
    assert "it holds more than 3 files" in warming.error(MINE)["message"]


def test_a_folder_that_is_not_there_says_where_it_was_looked_for(warming: Warming, tmp_path: Path) -> None:
    error = warming.error(MINE)
    assert error["kind"] == "not found"
    assert f"there is no folder {tmp_path}/scripts/models/mine" in error["message"]


def test_a_file_that_goes_while_it_is_copied_is_told(folder: Path, tmp_path: Path) -> None:
    source, stop = FolderSource(tmp_path / "scripts"), threading.Event()
    commit = source.resolve("./models/mine", None, stop)
    file = next(file for file in source.tree("./models/mine", commit, stop) if file.path == "config.json")
    (folder / "config.json").unlink()
    with pytest.raises(WarmupError, match=r"\./models/mine/config.json has gone while it was copied"):
        source.download("./models/mine", commit, file, tmp_path / "hub", lambda _: None, stop)
