"""Versions that must agree between machines: those of the libraries that decide which bytes come out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from espcn_demo import __version__

LIBRARIES = ("av", "numpy", "openvino", "torch")


def versions() -> dict[str, str]:
    """Names and versions on this machine; "none" for what is not installed."""
    return {"espcn_demo": __version__} | {name: _version(name) for name in LIBRARIES}


def differences(expected: Mapping[str, str]) -> str:
    """How this machine differs, for a sentence: "av 17.0 instead of 18.1"; empty when it does not."""
    found = versions()
    return ", ".join(
        f"{name} {found.get(name, 'none')} instead of {wanted}"
        for name, wanted in expected.items()
        if found.get(name) != wanted
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
