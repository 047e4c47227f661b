"""A stand-in for the `spaces` package: CUDA may be touched inside functions decorated with `GPU` only.

It has to be imported before torch, as the real one. `asked` holds the durations that were asked for, in seconds;
`refusal` makes the scheduler refuse; `reported` is True once `zero.startup` has told the platform of a function.
"""

import functools
import inspect
import sys
from types import SimpleNamespace

if "torch" in sys.modules:
    raise ImportError("spaces has to be imported before torch")

import torch

inside = False
asked = []
refusal = None
reported = False
_tasks = []


class GradioError(Exception):
    title = "ZeroGPU quota exceeded"


def _touch(*_args, **_kwargs):
    if not inside:
        raise RuntimeError("CUDA was touched outside a function decorated with spaces.GPU")


def _no_compile(*_args, **_kwargs):
    raise RuntimeError("torch.compile does not work on ZeroGPU")


torch._C._cuda_init = torch.cuda._lazy_init = torch.cuda.init = torch.cuda.current_device = _touch
torch.cuda.get_device_properties = torch.cuda.get_device_name = torch.cuda.mem_get_info = _touch
torch.cuda.is_available = lambda: True  # what ZeroGPU tells everyone
torch.compile = _no_compile


def GPU(task=None, duration=60):  # noqa: N802 (the package's name)
    if task is None:
        return functools.partial(GPU, duration=duration)
    if inspect.iscoroutinefunction(task):
        raise TypeError("coroutines cannot be decorated")
    _tasks.append(task)

    @functools.wraps(task)
    def decorated(*args, **kwargs):
        global inside
        seconds = duration(*args, **kwargs) if callable(duration) else duration
        asked.append(seconds)
        if refusal:
            raise GradioError(refusal)
        inside = True
        try:
            yield from task(*args, **kwargs)
        finally:
            inside = False

    return decorated


def _startup():
    global reported
    reported = bool(_tasks)


zero = SimpleNamespace(startup=_startup)
