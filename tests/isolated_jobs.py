"""Jobs for test_sandbox.py; a module of their own, light to import, because the worker imports it."""

import ctypes
import os
import time

from espcn_demo.errors import WeightsError


def add(a, b):
    return a + b


def twice(plane):
    return plane.repeat(2)


def refuse():
    raise WeightsError("These weights are damaged; take others.")


def crash():
    ctypes.string_at(0)


def leave():
    os._exit(3)


def defect():
    raise RuntimeError("/secret/path/of/the/server")


def hang():
    while True:
        time.sleep(0.05)


def exhaust():
    return len(bytearray(4 * 2**30))


def count(steps, on_progress):
    for step in range(steps):
        on_progress(step)
    return steps


def patient(folder, on_progress, cancelled):
    on_progress("started")
    cancelled.wait(60)
    open(os.path.join(folder, "cleaned"), "w").close()
    raise RuntimeError("stopped half-way")


def evil():
    class Evil:
        def __reduce__(self):
            return os.system, ("true",)

    return Evil()


def noisy():
    os.write(1, b"printed by a library\n")
    print("printed by Python")
    return 5


def report(stages):
    return {"stages": stages}


def stand_in_engine():
    return "stand-in"
