"""The errors this package raises on purpose.

InputError              a sentence the user can act on: bad file, bad option, full disk
├── WeightsError        a weights file that is missing, damaged or of another shape
└── EngineError         a backend that cannot run here, with its reason

The command line prints the sentence and exits with 2, the page shows it; any other exception is a defect.
"""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used; `str(error)` is one sentence that says what to do."""


class WeightsError(InputError):
    """A weights file is missing, damaged, of another shape, or its SHA-256 does not match."""


class EngineError(InputError):
    """A backend cannot run on this machine; `str(error)` gives the reason."""
