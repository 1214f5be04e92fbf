"""A seccomp filter, made of plain numbers: the kernel refuses what a reader of files never needs.

Written here and not taken from a library, because those need `libseccomp` on the machine.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_ALLOW = 0x7FFF0000
_KILL = 0x80000000
_ERRNO = 0x00050000

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000
"""x86_64 kernels answer a second table of system calls under numbers from here."""

# Sockets, processes, other processes' memory, the kernel's own settings, and file modes: the
# artifacts are read-only files of the same user.
_REFUSED: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        **{"socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50},
        **{"socketpair": 53, "accept4": 288, "fork": 57, "vfork": 58, "execve": 59},
        **{"execveat": 322, "tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297},
        **{"pidfd_send_signal": 424, "pidfd_open": 434, "pidfd_getfd": 438, "ptrace": 101},
        **{"process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440},
        **{"kcmp": 312, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308},
        **{"init_module": 175, "delete_module": 176, "finit_module": 313, "bpf": 321},
        **{"keyctl": 250, "add_key": 248, "request_key": 249, "perf_event_open": 298},
        **{"userfaultfd": 323, "open_by_handle_at": 304, "io_uring_setup": 425},
        **{"io_uring_enter": 426, "io_uring_register": 427, "chmod": 90, "fchmod": 91},
        **{"fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94},
        "fchownat": 260,
    },
    "aarch64": {
        **{"socket": 198, "connect": 203, "accept": 202, "bind": 200, "listen": 201},
        **{"socketpair": 199, "accept4": 242, "execve": 221, "execveat": 281, "tkill": 130},
        **{"rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424},
        **{"pidfd_open": 434, "pidfd_getfd": 438, "ptrace": 117, "process_vm_readv": 270},
        **{"process_vm_writev": 271, "process_madvise": 440, "kcmp": 272, "mount": 40},
        **{"umount2": 39, "unshare": 97, "setns": 268, "init_module": 105},
        **{"delete_module": 106, "finit_module": 273, "bpf": 280, "keyctl": 219},
        **{"add_key": 217, "request_key": 218, "perf_event_open": 241, "userfaultfd": 282},
        **{"open_by_handle_at": 265, "io_uring_setup": 425, "io_uring_enter": 426},
        **{"io_uring_register": 427, "fchmod": 52, "fchmodat": 53, "fchmodat2": 452},
        **{"fchown": 55, "fchownat": 54},
    },
}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_KILLS = {"x86_64": (62, 234), "aarch64": (129, 131)}  # kill, tgkill
_CLONE3 = 435


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_system_calls() -> bool:
    """Installs the filter for this process, for good; False where this kernel has none."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    code = filter_code(machine, os.getpid())
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0


def filter_code(machine: str, pid: int) -> bytes:
    """The filter as the kernel takes it: threads and signals to itself go on, the rest is refused.

    Each check stands by itself and falls through to the next one.
    """
    refuse, absent = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    code = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_step(_AT_LEAST, _X32, 0, 1), _step(_RETURN, refuse)]
    for number in sorted(_REFUSED[machine].values()):
        code += [_step(_EQUAL, number, 0, 1), _step(_RETURN, refuse)]
    # The C library then takes the older call, whose flags can be looked at.
    code += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, absent)]
    code += [
        _step(_EQUAL, _CLONE[machine], 0, 4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, _CLONE_THREAD, 1, 0),
        _step(_RETURN, refuse),
        _step(_RETURN, _ALLOW),
    ]
    for number in _KILLS[machine]:
        code += [
            _step(_EQUAL, number, 0, 4),
            _step(_LOAD, _FIRST_ARGUMENT),
            _step(_EQUAL, pid, 1, 0),
            _step(_RETURN, refuse),
            _step(_RETURN, _ALLOW),
        ]
    return b"".join([*code, _step(_RETURN, _ALLOW)])


def _step(operation: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One struct sock_filter; the jumps say how many steps are skipped."""
    return struct.pack("=HBBI", operation, then, otherwise, value)
