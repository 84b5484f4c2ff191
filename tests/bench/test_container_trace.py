"""Counting what a traced function opens, reads and maps of its image."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.container.trace import parse, trace

LOG = """
12 openat(AT_FDCWD, "/opt/venv/lib/a.py", O_RDONLY|O_CLOEXEC) = 3</opt/venv/lib/a.py>
12 read(3</opt/venv/lib/a.py>, ""..., 4096) = 1000
12 read(3</opt/venv/lib/a.py>, "", 3096) = 0
12 openat(AT_FDCWD, "/opt/venv/lib/a.py", O_RDONLY|O_CLOEXEC) = 3</opt/venv/lib/a.py>
12 openat(AT_FDCWD, "/opt/venv/lib", O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY) = 4</opt/venv/lib>
12 openat(AT_FDCWD, "/opt/venv/lib/none.py", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
12 openat(AT_FDCWD, "/mnt/hf_models_cache/m", O_RDONLY) = 5</mnt/hf_models_cache/m>
12 pread64(5</mnt/hf_models_cache/m>, ""..., 1048576, 0) = 1048576
13 pread64(6</opt/b.so>,  <unfinished ...>
12 read(3</proc/cpuinfo>, ""..., 1024) = 1024
13 <... pread64 resumed>""..., 64, 0) = 64
13 mmap(NULL, 8192, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 6</opt/b.so>, 0) = 0x7f0000000000
13 mmap(0x7f0000001000, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED, 6</opt/b.so>, 0x1000) = 0x7f01
13 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000002000
"""


def test_files_of_the_image_are_counted_once_and_their_bytes_added_up():
    touched = parse(LOG.strip().splitlines())
    assert touched.opened == {"/opt/venv/lib/a.py"}
    assert touched.read_bytes == 1000 + 64
    assert touched.mapped_bytes == 8192


def test_an_image_is_counted_wherever_it_lies():
    lines = LOG.replace("/opt/venv", "/tmp/checkout/venv").strip().splitlines()
    assert parse(lines).read_bytes == 64
    assert parse(lines, Path("/tmp/checkout/venv")).read_bytes == 1000


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
def test_what_a_real_process_reads_after_it_is_attached_is_counted(tmp_path):
    code = "import sys; sys.stdin.readline(); open('/usr/lib/os-release').read(); print('done', flush=True)"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:

        def act():
            assert process.stdin and process.stdout
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"done\n"

        touched = trace(process.pid, act, tmp_path / "log")
    assert "/usr/lib/os-release" in touched.opened
    assert touched.read["/usr/lib/os-release"] > 0
