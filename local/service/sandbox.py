"""Starts a command that sees a file system as on Lambda: read-only but for /tmp and, for writers, the cache.

    python -I -S sandbox.py MODE '{"cache", "mount", "tmp", "writes", "keep", "connect"}' COMMAND...

MODE `namespace` mounts the cache at its real path in a private mount namespace; `landlock` forbids writes
without mounting; `none` changes nothing. `connect` names the TCP ports that it may connect to, where the
kernel can hold it to them (Landlock, since Linux 6.7). A script of its own without imports from here: it
runs before every instance, so that its start-up time is part of every cold start.
"""

import ctypes
import json
import os
import platform
import stat
import sys
from pathlib import Path

MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 0x1
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
LINUX_CAPABILITY_VERSION_3 = 0x20080522
SYS_MOUNT_SETATTR = 442  # this number and those of Landlock are the same on x86_64 and aarch64
SYS_LANDLOCK_CREATE_RULESET, SYS_LANDLOCK_ADD_RULE, SYS_LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH, LANDLOCK_RULE_NET_PORT = 1, 2
LANDLOCK_CONNECT_TCP, LANDLOCK_NET_SINCE = 0x2, 4
# Writing, removing and making files; moving between folders came with version 2, truncation with version 3.
LANDLOCK_WRITES = {1: 0x1FF2, 2: 0x2000, 3: 0x4000}

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    mode, given, *command = arguments
    view = json.loads(given)
    if mode == "namespace":
        enter_namespace(view)
    if mode != "none":
        restrict(view, writes=mode == "landlock")
        drop_capabilities()
    os.execvp(command[0], command)


def enter_namespace(view: dict[str, object]) -> None:
    """Private mounts: the cache at `mount`, `tmp` at /tmp, nothing else writable. OSError if not allowed."""
    _unshare()
    mount, tmp = view["mount"], str(view["tmp"])
    _mount(None, "/", MS_REC | MS_PRIVATE)
    cache = os.open(str(view["cache"]), os.O_PATH)  # by descriptor: its path may be covered below
    _cover_tmp(tmp, [Path(str(path)) for path in view["keep"]])  # type: ignore[attr-defined]
    writable = ["/tmp"]
    if mount:
        _bind_cache(cache, Path(str(mount)))
        if view["writes"]:
            writable.append(str(mount))
    _set_read_only("/", True, AT_RECURSIVE)
    for path in writable:
        _set_read_only(path, False, 0)
    os.chdir(Path.cwd())  # the old working directory still belongs to the mounts from before


def restrict(view: dict[str, object], *, writes: bool) -> None:
    """Landlock: TCP connections to `connect` alone, where the kernel knows such rules.

    writes: and writes only below `tmp`, /dev and, for writers, the cache. OSError if there is no Landlock.
    """
    connect = view.get("connect")
    if not writes and connect is None:
        return
    version = _libc.syscall(
        ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET), None, ctypes.c_long(0), LANDLOCK_CREATE_RULESET_VERSION
    )
    closes = connect is not None and version >= LANDLOCK_NET_SINCE
    if writes:
        _check(version, "Landlock")
    elif not closes:
        return
    # One ruleset for both: to move files to another folder is denied by each that does not allow it, also by
    # one for connections alone beside another for files (LANDLOCK_ACCESS_FS_REFER in the kernel's
    # Documentation/userspace-api/landlock.rst).
    handled = sum(bits for since, bits in LANDLOCK_WRITES.items() if since <= version) if writes else 0
    attributes = (ctypes.c_uint64 * 2)(handled, LANDLOCK_CONNECT_TCP if closes else 0)
    size = ctypes.sizeof(attributes) if closes else ctypes.sizeof(ctypes.c_uint64)
    rules = _system_call(SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if writes:
        for path in [view["tmp"], "/dev", *([view["cache"]] if view["writes"] else [])]:
            _allow_writes(rules, str(path), handled)
    for port in connect if closes else ():  # type: ignore[attr-defined]
        rule = (ctypes.c_uint64 * 2)(LANDLOCK_CONNECT_TCP, port)
        _system_call(SYS_LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_NET_PORT, ctypes.byref(rule), 0)
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    _system_call(SYS_LANDLOCK_RESTRICT_SELF, rules, 0)


def _allow_writes(rules: int, path: str, handled: int) -> None:
    folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = ctypes.create_string_buffer(
        handled.to_bytes(8, sys.byteorder) + folder.to_bytes(4, sys.byteorder), 12
    )
    _system_call(SYS_LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_PATH_BENEATH, rule, 0)


def drop_capabilities() -> None:
    """A function is nobody special: it could otherwise mount the cache again, for writing."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(none)), "capset")
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def _unshare() -> None:
    user, group = os.getuid(), os.getgid()
    if user == 0 and _libc.unshare(CLONE_NEWNS) == 0:
        return
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWUSER), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _cover_tmp(tmp: str, keep: list[Path]) -> None:
    """Put `tmp` at /tmp; what the function needs of the old /tmp stays where it was."""
    below = sorted({path for path in keep if path.is_relative_to("/tmp")})
    held = {path: os.open(path, os.O_PATH) for path in below}
    _mount(tmp, "/tmp", MS_BIND)
    for path, source in held.items():
        if path.exists():  # within one that is back already
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(os.fstat(source).st_mode):
            path.mkdir()
        else:
            path.touch()
        _mount(f"/proc/self/fd/{source}", str(path), MS_BIND | MS_REC)


def _bind_cache(cache: int, mount: Path) -> None:
    if not mount.is_dir():
        _cover(mount.parent)
        mount.mkdir()
    _mount(f"/proc/self/fd/{cache}", str(mount), MS_BIND)


def _cover(folder: Path) -> None:
    """Put a scratch folder over `folder` with the same entries: a mount point made in it leaves no trace."""
    held = {entry.name: os.open(entry, os.O_PATH) for entry in folder.iterdir() if entry.is_dir()}
    _mount("tmpfs", str(folder), 0, "tmpfs")
    for name, source in held.items():
        (folder / name).mkdir()
        _mount(f"/proc/self/fd/{source}", str(folder / name), MS_BIND | MS_REC)


def _mount(source: str | None, target: str, flags: int, kind: str | None = None) -> None:
    given = [value.encode() if value else None for value in (source, target, kind)]
    _check(_libc.mount(*given, ctypes.c_ulong(flags), None), f"mount {target}")


def _set_read_only(path: str, read_only: bool, flags: int) -> None:
    attributes = (ctypes.c_uint64 * 4)(
        *((MOUNT_ATTR_RDONLY, 0) if read_only else (0, MOUNT_ATTR_RDONLY)), 0, 0
    )
    size = ctypes.sizeof(attributes)
    _system_call(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, ctypes.byref(attributes), size)


def _system_call(number: int, *arguments: object) -> int:
    if platform.machine() not in ("x86_64", "aarch64"):
        raise OSError(f"system call {number} has another number on {platform.machine()}")
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *wide), f"system call {number}")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
