"""What the processor can do and how much of it this process was granted."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

QUOTA_FILES = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu"))  # of control group version 2 and 1


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction set extensions by their Linux names ("avx512_bf16", "avx512_vnni"); empty where unknown."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    lines = [line for line in text.splitlines() if line.startswith(("flags", "Features"))]
    return frozenset(lines[0].split(":", 1)[1].split()) if lines else frozenset()


def has_bfloat16() -> bool:
    """Whether bfloat16 products run in hardware."""
    return bool({"avx512_bf16", "amx_bf16"} & cpu_flags())


def has_int8() -> bool:
    """Whether int8 dot products run in hardware."""
    return bool({"avx512_vnni", "avx_vnni", "amx_int8"} & cpu_flags())


def granted_cores() -> int:
    """Cores this process may use: the smaller of its affinity and its cgroup's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affinity, _quota() or affinity))


def _quota() -> int | None:
    """The quota of control group version 2 or 1 in whole cores, rounded up; None without one."""
    two, one = QUOTA_FILES
    try:
        if two.is_file():
            quota, period = two.read_text(encoding="ascii").split()
        else:
            quota = (one / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (one / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        return None if quota in ("max", "-1") else -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None


@cache
def processor() -> str:
    """The processor's name and the matrix instructions it has, for tables."""
    import platform

    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    shown = {"avx512_bf16": "AVX512-BF16", "avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI", "amx_bf16": "AMX"}
    extensions = [label for flag, label in shown.items() if flag in cpu_flags()]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} ({', '.join(extensions)})" if extensions else name
