"""What the machine lacks is an error of the warm-up and leaves what was published; damage is repaired."""

import errno
import json
import shutil
import struct
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from tests.families import others_slow
from tests.warmup.prepare.conftest import prepared, requested
from warmup.prepare import PrepareFailed, Unfinished
from warmup.prepare.recipe import child_environment, keep_finished_steps
from warmup.prepare.request import Verdict, fp32_bytes
from warmup.prepare.steps import StepRecord, record_path
from warmup.protocol.errors import ErrorKind, ErrorReport

Usage = namedtuple("Usage", "total used free")


def _disk_of(monkeypatch, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))


def _failing_with(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr("warmup.prepare.encoder.export.export", fail)


def test_a_disk_without_room_is_said_before_anything_is_written(snapshot, tmp_path, monkeypatch):
    _disk_of(monkeypatch, 3 * fp32_bytes(snapshot) - 10_000)
    steps: list[str] = []
    with pytest.raises(PrepareFailed, match=r"it takes .* MB of the cache's disk .* are free") as caught:
        prepared(snapshot, tmp_path, progress=steps.append)
    assert caught.value.kind is ErrorKind.DISK_FULL
    assert steps == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_needs_no_room(snapshot, tmp_path, monkeypatch):
    entry = prepared(snapshot, tmp_path, precision="fp32")
    _disk_of(monkeypatch, 0)
    assert prepared(snapshot, tmp_path, precision="fp32") == entry


def test_what_an_interrupted_run_left_counts_as_room(snapshot, tmp_path, monkeypatch):
    left = iter([100.0, 0.0])
    with pytest.raises(Unfinished):
        prepared(snapshot, tmp_path, precision="fp32", remaining_s=lambda: next(left))
    (work,) = tmp_path.iterdir()
    there = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    _disk_of(monkeypatch, max(3 * fp32_bytes(snapshot) - there + 10_000, 17 << 20))
    assert prepared(snapshot, tmp_path, precision="fp32").precision == "fp32"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ErrorKind.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), ErrorKind.DISK_FULL),
        (RuntimeError("[ONNXRuntimeError] : writing: No space left on device"), ErrorKind.DISK_FULL),
        (MemoryError(), ErrorKind.OUT_OF_MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), ErrorKind.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), ErrorKind.OUT_OF_MEMORY),
        (RuntimeError("std::bad_alloc"), ErrorKind.OUT_OF_MEMORY),
        (OSError(errno.EIO, "Input/output error"), ErrorKind.CACHE),
        (OSError(errno.ESTALE, "Stale file handle"), ErrorKind.CACHE),
    ],
)
def test_a_step_that_lacks_room_or_memory_is_no_verdict(snapshot, tmp_path, monkeypatch, error, kind):
    _failing_with(monkeypatch, error)
    with pytest.raises(PrepareFailed, match="the step 'export' failed: ") as caught:
        prepared(snapshot, tmp_path)
    assert caught.value.kind is kind


def test_the_next_run_starts_the_step_again_that_lacked_something(snapshot, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        _failing_with(patch, MemoryError())
        for _ in range(4):  # each counts from the beginning
            with pytest.raises(PrepareFailed):
                prepared(snapshot, tmp_path, precision="fp32")
    assert prepared(snapshot, tmp_path, precision="fp32").precision == "fp32"


def test_a_full_disk_gives_its_room_back(snapshot, tmp_path, monkeypatch):
    _failing_with(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(PrepareFailed):
        prepared(snapshot, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_error_of_a_step_is_raised_as_it_is(snapshot, tmp_path, monkeypatch):
    _failing_with(monkeypatch, RuntimeError("Unsupported operator"))
    with pytest.raises(RuntimeError, match="Unsupported operator"):
        prepared(snapshot, tmp_path)


@pytest.mark.parametrize("garbage", others_slow([b"", b"\xff\xfe", b'{"seconds": "x"}', None], b""))
def test_a_damaged_record_of_a_step_is_none(snapshot, tmp_path, garbage):
    left = iter([100.0, 0.0])
    with pytest.raises(Unfinished):
        prepared(snapshot, tmp_path, precision="fp32", remaining_s=lambda: next(left))
    (work,) = tmp_path.iterdir()
    path = record_path(work, "export")
    path.unlink()
    path.mkdir() if garbage is None else path.write_bytes(garbage)
    steps: list[str] = []
    prepared(snapshot, tmp_path, precision="fp32", progress=steps.append)
    assert steps == ["export", "optimize", "check-fp32"]


@pytest.mark.parametrize("garbage", others_slow([b"", b"x", b"\xff", b"1 2", None], b"", b"x"))
def test_damaged_counters_of_attempts_count_nothing(snapshot, tmp_path, garbage):
    request = requested(snapshot, precision="fp32")
    work = tmp_path / f".work-{request.folder_name}"
    work.mkdir()
    keep_finished_steps(request, work)
    path = work / "export.attempts"
    path.write_bytes(garbage) if garbage is not None else path.symlink_to(path)
    assert prepared(snapshot, tmp_path, precision="fp32").precision == "fp32"


@pytest.mark.parametrize("name", others_slow(["key.json", "request.json"], "request.json"))
def test_damaged_notes_of_an_earlier_run_are_made_anew(snapshot, tmp_path, name):
    left = iter([100.0, 0.0])
    with pytest.raises(Unfinished):
        prepared(snapshot, tmp_path, precision="fp32", remaining_s=lambda: next(left))
    (work,) = tmp_path.iterdir()
    (work / name).write_bytes(b"\xff{")
    assert prepared(snapshot, tmp_path, precision="fp32").precision == "fp32"


def test_a_file_where_the_folder_belongs_is_replaced(snapshot, tmp_path):
    request = requested(snapshot, precision="fp32")
    (tmp_path / request.folder_name).write_text("a file")
    (tmp_path / f".work-{request.folder_name}").write_text("another")
    entry = prepared(snapshot, tmp_path, precision="fp32")
    assert {path.name for path in tmp_path.iterdir()} == {Path(entry.path).name}


@pytest.mark.parametrize(
    "record",
    [
        StepRecord(1.5, 7, Verdict({"a": 0.5}, "no")),
        StepRecord(1.5, 7, not_prepared="a reason"),
        StepRecord(1.5, 7, error=ErrorReport(ErrorKind.DISK_FULL, "full")),
    ],
)
def test_a_record_is_read_as_it_was_written(record):
    assert StepRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_step_gets_no_credentials():
    given = {
        **dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "HF_TOKEN", "MY_KEY"), "secret"),
        "HUGGING_FACE_HUB_TOKEN": "secret",
        "HF_TOKEN_PATH": "secret",
        "PYTHONSTARTUP": "secret",
        "PATH": "/bin",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
        "OMP_NUM_THREADS": "2",
    }
    environment = child_environment(given)
    assert "secret" not in environment.values()
    assert {environment[name] for name in ("PATH", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE")} == {"/bin", "3008"}


@pytest.mark.parametrize(
    ("dtype", "factor"), [(torch.float32, 1), (torch.bfloat16, 2), (torch.float16, 2), (torch.int8, 4)]
)
def test_the_room_counts_weights_in_fp32_whatever_they_are_stored_in(tmp_path, dtype, factor):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(10, 30, dtype=dtype)}, tmp_path / "model-1.safetensors")
    save_file({"b": torch.zeros(5, dtype=dtype)}, tmp_path / "model-2.safetensors")
    assert fp32_bytes(tmp_path) == 4 * 305
    (tmp_path / "model-2.safetensors").unlink()
    assert fp32_bytes(tmp_path) == 4 * 300


def test_pickled_weights_count_by_the_dtype_of_the_config(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 100)
    assert fp32_bytes(tmp_path) == 100
    (tmp_path / "config.json").write_text('{"torch_dtype": "float16"}')
    assert fp32_bytes(tmp_path) == 200


@pytest.mark.parametrize("header", [b"", struct.pack("<Q", 1 << 62), struct.pack("<Q", 4) + b"nope"])
def test_a_damaged_weight_file_has_no_size(tmp_path, header):
    (tmp_path / "model.safetensors").write_bytes(header)
    assert fp32_bytes(tmp_path) == 0
