"""The inside of the sandbox: confines this process, runs a program and its tests, reports. Stands alone, stdlib only.

`experts.evaluation.suites.sandbox` runs this file with `python -I -S` and writes one JSON job to its stdin. The
program's own output goes nowhere. The report goes to the descriptor that was stdout, and counts only with the job's
token, so leaving early, printing "passed" or exiting with 0 is no success. What confines the program, from the kernel
up:

* resource limits: CPU seconds, memory, file size, open files, no processes, no core file;
* Landlock (Linux 5.13): no writing outside the working folder;
* seccomp: no socket, no new process, no signal, no ptrace, no change of modes or owners;
* an audit hook that refuses the same in Python, for platforms without the two above.
"""

from __future__ import annotations

import builtins
import ctypes
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_CLONE_THREAD = 0x10000
_X32 = 0x40000000  # the second set of call numbers of x86-64
# Per machine: audit architecture, clone, clone3, and the refused: socket, socketpair, connect, fork, vfork, execve,
# execveat, kill, tkill, tgkill, pidfd_send_signal, ptrace, process_vm_*, mount, umount2, unshare, setns, bpf, keyctl,
# add_key, io_uring_setup, chmod and chown with all kin, setsid, setpgid, memfd_create, shmget.
_CALLS = {
    "x86_64": (
        0xC000003E, 56, 435,
        (41, 53, 42, 57, 58, 59, 322, 62, 200, 234, 424, 101, 310, 311, 165, 166, 272, 308, 321, 250, 248, 425,
         90, 91, 268, 452, 92, 93, 94, 260, 112, 109, 319, 29),
    ),
    "aarch64": (
        0xC00000B7, 220, 435,
        (198, 199, 203, 221, 281, 129, 130, 131, 424, 117, 270, 271, 40, 39, 97, 268, 280, 219, 217, 425,
         52, 53, 452, 55, 54, 157, 154, 279, 194),
    ),
}  # fmt: skip
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_RIGHTS = 0b1_1111_1111_0010  # every right of ABI 1 that changes something: 1 write, 4-5 remove, 6-12 make
_FILES_OPENED_FOR_WRITING = 32
_REFUSED_EVENTS = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill", "os.killpg",
    "os.putenv", "ctypes.", "os.chmod", "os.chown", "pty.", "signal.pthread_kill", "sys._current_frames",
    "gc.get_objects", "gc.get_referrers", "sys.addaudithook", "syslog.", "resource.setrlimit",
)  # fmt: skip
_CHANGING_EVENTS = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.")


def main() -> None:
    """Read the job, confine this process, run the program, report."""
    job = json.loads(sys.stdin.readline())
    report = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    guards = confine(job["limits"])
    _write(report, {"guards": guards})
    token = job["token"]
    # The report is bound before the program runs: it may rebind any name it can reach.
    finish, dumps, leave = os.write, json.dumps, os._exit
    error = run(job["program"], job["tests"])
    finish(report, (dumps({"token": token, "error": error}) + "\n").encode())
    leave(0)


def run(program: str, tests: str) -> str:
    """Run a program and then its tests in one namespace; return the type of what was raised, or nothing."""
    namespace: dict[str, Any] = {"__name__": "solution", "__builtins__": builtins}
    try:
        exec(compile(program, "solution", "exec"), namespace)
        exec(compile(tests, "tests", "exec"), namespace)
    except BaseException as error:  # whatever a foreign program raises, SystemExit included, is its failure
        return type(error).__name__
    return ""


def confine(limits: dict[str, int]) -> list[str]:
    """Give up every right that a solution does not need; return the names of what is in force."""
    folder = os.getcwd()
    guards = ["limits"]
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _restrict_writes(library, folder):
        guards.append("landlock")
    if _filter_calls(library):
        guards.append("seccomp")
    _limit(limits)
    sys.addaudithook(_audit(os.path.join(folder, "")))
    return [*guards, "audit"]


def _limit(limits: dict[str, int]) -> None:
    wanted = {
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_DATA: limits["memory_bytes"],
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def _restrict_writes(library: Any, folder: str) -> bool:  # noqa: ANN401  # ctypes
    """Let nothing be written outside `folder`; say whether the kernel does so."""
    attributes = ctypes.create_string_buffer(struct.pack("<Q", _WRITE_RIGHTS), 8)
    ruleset = library.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    parent = os.open(folder, os.O_PATH)
    rule = ctypes.create_string_buffer(struct.pack("<Qi", _WRITE_RIGHTS, parent), 12)
    done = library.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0) == 0
    done = done and library.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0
    os.close(parent)
    os.close(ruleset)
    return bool(done)


def _filter_calls(library: Any) -> bool:  # noqa: ANN401  # ctypes
    """Refuse system calls; say whether the kernel does so."""
    known = _CALLS.get(platform.machine())
    if known is None:
        return False
    program = b"".join(struct.pack("<HBBI", *line) for line in _rules(*known))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return bool(library.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(header, len(header)), 0, 0) == 0)


def _rules(architecture: int, clone: int, clone3: int, refused: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """Return the filter as classic BPF: (code, jump if true, jump if false, operand)."""
    refuse = (_RETURN, 0, 0, _ERRNO | _EPERM)
    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if architecture == _CALLS["x86_64"][0]:
        lines += [(_AT_LEAST, 0, 1, _X32), refuse]
    for number in refused:
        lines += [(_EQUAL, 0, 1, number), refuse]
    lines += [(_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]  # so that libc falls back to clone
    lines += [(_EQUAL, 0, 3, clone), (_LOAD, 0, 0, 16), (_HAS_BITS, 1, 0, _CLONE_THREAD), refuse]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _audit(folder: str) -> Any:  # noqa: ANN401  # a hook
    """Return a hook that refuses what Python can be asked to do outside the folder."""
    opened = 0

    def hook(event: str, details: tuple[Any, ...]) -> None:
        nonlocal opened
        if event.startswith(_REFUSED_EVENTS):
            raise PermissionError(event)
        if event.startswith(_CHANGING_EVENTS) and not all(
            _is_inside(path, folder) for path in details if isinstance(path, str | bytes)
        ):
            raise PermissionError(event)
        if event == "open" and _writes(details):
            opened += 1
            if opened > _FILES_OPENED_FOR_WRITING or not _is_inside(details[0], folder):
                raise PermissionError(event)

    return hook


def _writes(details: tuple[Any, ...]) -> bool:
    mode, flags = details[1], details[2]
    if isinstance(mode, str) and any(letter in mode for letter in "wax+"):
        return True
    return bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))


def _is_inside(path: object, folder: str) -> bool:
    return isinstance(path, str | bytes) and os.path.realpath(os.fsdecode(path)).startswith(folder)


def _write(descriptor: int, message: dict[str, Any]) -> None:
    os.write(descriptor, (json.dumps(message) + "\n").encode())


if __name__ == "__main__":
    main()
