"""A filter on system calls (seccomp-bpf) for one thread and what it starts: no sockets, no other process's memory.

Landlock fences files; this fences what it knows no rule for: sockets of every kind, ptrace and its kin, io_uring (which
does what a filter forbids), mounts, keys, and the owner, mode and times of files. Processes can be started only as
`subprocess` does it, by a vfork whose caller sleeps until the child has become another program, and which programs
there are Landlock says; so nothing can multiply. The rest of the system calls stay as they are.

No package for this is kept up; the filter is one array of instructions that the kernel has taken since Linux 3.5
(seccomp(2), https://docs.kernel.org/userspace-api/seccomp_filter.html).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from dataclasses import dataclass
from functools import cache
from typing import Final

# Name -> number on (x86-64, arm64), from the kernel's tables; None where the architecture has no such call.
_DENIED: Final[dict[str, tuple[int | None, int | None]]] = {
    # The network, and sockets that were open before.
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept": (43, 202),
    "accept4": (288, 242),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    # Other processes.
    "fork": (57, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    # Other ways to do what is denied, and corners of the kernel that no decoder needs.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "open_by_handle_at": (304, 265),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    # What Landlock leaves open of writing: mode, owner, attributes and times.
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}


@dataclass(frozen=True, slots=True)
class _Machine:
    """What differs: AUDIT_ARCH_* of linux/audit.h, the column of `_DENIED`, and the numbers of the clones."""

    arch: int
    column: int
    clone: int
    clone3: int = 435


_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, 0, 56),
    "aarch64": _Machine(0xC00000B7, 1, 220),
}
_X32_BIT: Final = 0x40000000  # the second set of numbers on x86-64
# Offsets in struct seccomp_data; arguments are 64 bits, little-endian, of which the low half comes first.
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _RETURN = 0x20, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_RET|BPF_K
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = (
    0x15,
    0x35,
    0x45,
)  # BPF_JMP|BPF_JEQ, BPF_JGE, BPF_JSET, all |BPF_K
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
_CLONE_VFORK, _CLONE_THREAD = 0x00004000, 0x00010000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2


class _Instruction(ctypes.Structure):
    """struct sock_filter."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def can_filter() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return sys.platform.startswith("linux") and platform.machine() in _MACHINES


def deny_calls() -> None:
    """Put the filter on the calling thread and what it starts, for good; other threads stay free.

    Raises:
        OSError: The kernel has no such filters, or refuses them here.
    """
    libc = _libc()
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_program()), 0, 0),
    ):
        if libc.prctl(*call) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _program() -> _Program:
    rules = _rules(_MACHINES[platform.machine()])
    return _Program(len(rules), (_Instruction * len(rules))(*rules))


def _rules(machine: _Machine) -> list[_Instruction]:
    eperm = _ERROR | errno.EPERM
    rules = [
        _Instruction(_LOAD, 0, 0, _ARCH),
        _Instruction(_IF_EQUAL, 1, 0, machine.arch),
        _Instruction(_RETURN, 0, 0, eperm),  # 32-bit calls have other numbers
        _Instruction(_LOAD, 0, 0, _NUMBER),
        _Instruction(_IF_AT_LEAST, 0, 1, _X32_BIT),
        _Instruction(_RETURN, 0, 0, eperm),
        # The flags of clone3 are out of a filter's sight: without it the C library falls back to clone.
        _Instruction(_IF_EQUAL, 0, 1, machine.clone3),
        _Instruction(_RETURN, 0, 0, _ERROR | errno.ENOSYS),
    ]
    for numbers in _DENIED.values():
        if (number := numbers[machine.column]) is not None:
            rules.append(_Instruction(_IF_EQUAL, 0, 1, number))
            rules.append(_Instruction(_RETURN, 0, 0, eperm))
    return [
        *rules,
        _Instruction(_IF_EQUAL, 0, 3, machine.clone),
        _Instruction(_LOAD, 0, 0, _FIRST_ARGUMENT),
        _Instruction(_IF_ANY_BIT, 1, 0, _CLONE_THREAD | _CLONE_VFORK),
        _Instruction(_RETURN, 0, 0, eperm),
        _Instruction(_RETURN, 0, 0, _ALLOW),
    ]
