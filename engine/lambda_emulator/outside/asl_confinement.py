"""What a process does to itself before it runs a function: limits, its own view of the files, death with its parent.

Runs in processes that are not the emulator's, and in interpreters that may not have this package: the standard library
alone, nothing else of ours. It speaks to the kernel by ctypes, because Python has no `mount` and no `prctl`.

With a mount namespace a function sees what it sees at AWS (lambda.md 5.3): its code at /var/task, its layers merged at
/opt, the bootstraps at /var/runtime, all read-only like everything else, and an own /tmp of a limited size.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS = 0x0002_0000
_CLONE_NEWUSER = 0x1000_0000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x4_0000
_MS_NOSUID_NODEV = 0x2 | 0x4
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 2, 4
_CAP_SYS_CHROOT, _CAP_SYS_ADMIN = 18, 21
_CAPABILITY_VERSION_3 = 0x2008_0522
_MNT_DETACH = 2
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1

FILES_MAX = 1_024
"""File descriptors of a process of a function (lambda.md 4)."""

_MB = 1_048_576


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], flags, encoded[3]), f"mount {target}")


def _set_attributes(target: str, *, add: int = 0, clear: int = 0, flags: int = 0) -> None:
    attributes = _MountAttributes(add, clear, 0, 0)
    size = ctypes.sizeof(attributes)
    done = _libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, ctypes.byref(attributes), size)
    _check(done, f"mount_setattr {target}")


# ── the process that starts the others ──────────────────────────────────────────────────────────────────────────────


def enter_namespace() -> None:
    """Gives this process mounts of its own, which go with it. Whoever is not root becomes that in a user namespace.

    Raises:
        OSError: The kernel, or what this runs in, does not allow it.
    """
    if os.geteuid() == 0:
        _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    else:
        user, group = os.geteuid(), os.getegid()
        _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)


def adopt_orphans() -> None:
    """Processes whose parents end become children of this one, so that it can reap them. Linux only."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def mount_scratch(directory: str, megabytes: int) -> None:
    """A file system in memory of that size, for one environment's /tmp."""
    os.mkdir(directory)
    _mount("tmpfs", directory, "tmpfs", _MS_NOSUID_NODEV, f"size={megabytes}m,mode=1777")


def unmount_scratch(directory: str) -> None:
    """And away with it."""
    _check(_libc.umount2(os.fsencode(directory), _MNT_DETACH), f"umount {directory}")
    os.rmdir(directory)


# ── a process of a function ─────────────────────────────────────────────────────────────────────────────────────────


def die_with(parent: int) -> None:
    """The kernel kills this process when that one, its parent, ends."""
    if hasattr(_libc, "prctl"):
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def limit_resources(*, file_megabytes: int | None) -> None:
    """Descriptors, no core files; and the size of a file where /tmp cannot be limited as a whole."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file_megabytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_megabytes * _MB,) * 2)


def see_as_lambda(*, task: str, runtime: str, scratch: str, layers: list[str], mount_points: str) -> None:
    """Moves into an own view of the files.

    Args:
        task: The unpacked code, or whatever else shall be /var/task.
        runtime: What shall be /var/runtime.
        scratch: What shall be /tmp; all else becomes read-only.
        layers: The last one's files hide those of the others.
        mount_points: A directory with empty directories `task` and `runtime`: the machine's /var may have none.

    Raises:
        OSError: Some of it cannot be mounted.
    """
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    # Opened first: what is mounted next may hide where they are.
    held = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (task, runtime, scratch)]
    _mount("overlay", "/var", "overlay", 0, f"lowerdir={_escaped(mount_points)}:/var")
    if layers:
        lower = ":".join([_escaped(layer) for layer in reversed(layers)] + ["/opt"])
        _mount("overlay", "/opt", "overlay", 0, f"lowerdir={lower}")
    for descriptor, target in zip(held, ("/var/task", "/var/runtime", "/tmp"), strict=True):  # noqa: S108  its own
        _mount(f"/proc/self/fd/{descriptor}", target, None, _MS_BIND)
        os.close(descriptor)
    _set_attributes("/", add=_MOUNT_ATTR_RDONLY, flags=_AT_RECURSIVE)
    _set_attributes("/tmp", clear=_MOUNT_ATTR_RDONLY)  # noqa: S108  the function's own


# ── snapshots ───────────────────────────────────────────────────────────────────────────────────────────────────────


def return_to(mounts: int) -> None:
    """Back to the mounts of the spawner, where the /tmp of every environment is."""
    _check(_libc.setns(mounts, _CLONE_NEWNS), "setns")


def keep_capabilities() -> None:
    """What was got with the user namespace outlives the next exec: a template mounts for its copies.

    Root has no need of it. These are capabilities over the namespace, not over the machine.
    """
    if os.geteuid() == 0:
        return
    sets = _capabilities()
    words = [
        word for i in range(2) for word in (sets[3 * i], sets[3 * i + 1], sets[3 * i + 1])
    ]  # inheritable: permitted
    _set_capabilities(words)
    for capability in (_CAP_SYS_CHROOT, _CAP_SYS_ADMIN):
        _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl")


def drop_capabilities() -> None:
    """And away with it. Root keeps what it is."""
    if os.geteuid() != 0:
        _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        _set_capabilities([0] * 6)


def _capabilities() -> list[int]:
    """Effective, permitted and inheritable, the lower 32 bits and the upper."""
    header, words = _CapabilityHeader(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _check(_libc.capget(ctypes.byref(header), words), "capget")
    return list(words)


def _set_capabilities(words: list[int]) -> None:
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(ctypes.byref(header), (ctypes.c_uint32 * 6)(*words)), "capset")


def _escaped(path: str) -> str:
    for character in "\\:,":
        path = path.replace(character, "\\" + character)
    return path
