"""Torch-TensorRT, as far as it is used: compile an exported graph, save it, load it, record it as a CUDA graph.

Every call exists with these arguments in torch-tensorrt 2.11 and 2.13; a test binds them to those packages'
signatures. Its own engine cache is not used: its hash leaves out the weights, the GPU and the versions.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from espcn_demo.backends import cache
from espcn_demo.backends.export import Profile, export
from espcn_demo.backends.layers import Layer
from espcn_demo.errors import EngineError
from espcn_demo.weights import Weights

log = logging.getLogger(__name__)

PRECISION = "float16"

Compiled = Callable[[Tensor], Tensor]  # (1, 1, H, W) in half precision -> (1, 1, 2H, 2W), on the GPU


class Toolkit:
    """One torch_tensorrt module on one GPU; tests give a stand-in and "cpu"."""

    def __init__(
        self,
        module: ModuleType,
        *,
        gpu: str,
        sm: str,
        tensorrt: str,
        device: str = "cuda",
        dtype: torch.dtype = torch.float16,
    ) -> None:
        self._module, self._gpu, self._sm, self._tensorrt, self._device = module, gpu, sm, tensorrt, device
        self.dtype = dtype
        self.version: str = module.__version__
        self._recordings: list[AbstractContextManager[Compiled]] = []

    @classmethod
    def on_gpu(cls) -> Toolkit:
        """The installed package on the current GPU; EngineError with the reason when it cannot be imported."""
        try:
            import tensorrt
            import torch_tensorrt
        except Exception as error:
            # The package raises a bare Exception where it finds no GPU, and linker errors where versions differ.
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EngineError(f"tensorrt: torch_tensorrt cannot be imported: {first_line}") from error
        major, minor = torch.cuda.get_device_capability()
        name = torch.cuda.get_device_name()
        return cls(torch_tensorrt, gpu=name, sm=f"{major}{minor}", tensorrt=tensorrt.__version__)

    def key(self, weights: Weights, profile: Profile) -> cache.Key:
        """What an engine depends on."""
        return cache.Key(
            weights=weights.sha256,
            gpu=self._gpu,
            sm=self._sm,
            torch=torch.__version__,
            torch_tensorrt=self.version,
            tensorrt=self._tensorrt,
            precision=PRECISION,
            shape=str(profile),
        )

    def obtain(self, weights: Weights, layers: tuple[Layer, ...], profile: Profile) -> Compiled:
        """The compiled module for `profile`, from the cache or built, ready to be called on the GPU."""
        module = cache.obtain(
            self.key(weights, profile),
            build=lambda: self._compile(layers, profile),
            save=lambda built, path: self._save(built, path, profile),
            load=self._load,
        )
        return self._recorded(module) if profile.static else module

    def _compile(self, layers: tuple[Layer, ...], profile: Profile) -> Compiled:
        program = export(layers, profile, dtype=self.dtype, device=self._device)
        # Types are those of the graph: TensorRT 11 has no other way, and 2.11 does it by default.
        built: Compiled = self._module.dynamo.compile(
            program,
            inputs=[self._input(profile)],
            require_full_compilation=True,
            min_block_size=1,
            timing_cache_path=str(self._timing_cache()),
        )
        return built

    def _save(self, module: Compiled, path: Path, profile: Profile) -> None:
        self._module.save(module, str(path), output_format="exported_program", arg_inputs=[self._input(profile)])

    def _load(self, path: Path) -> Compiled:
        module: Compiled = self._module.load(str(path)).module()
        return module

    def _recorded(self, module: Compiled) -> Compiled:
        """`module` with its engine as a CUDA graph; as it is where that fails, which costs speed only."""
        try:
            recording = self._module.runtime.enable_cudagraphs(module)
            recorded: Compiled = recording.__enter__()  # for as long as the engine lives
        except Exception as error:
            log.warning("tensorrt: no CUDA graph: %s", error)
            return module
        self._recordings.append(recording)
        return recorded

    def _input(self, profile: Profile) -> object:
        if profile.static:
            return self._module.Input(shape=(1, 1, *profile.expected), dtype=self.dtype, name="luma")
        return self._module.Input(
            min_shape=(1, 1, *profile.smallest),
            opt_shape=(1, 1, *profile.expected),
            max_shape=(1, 1, *profile.largest),
            dtype=self.dtype,
            name="luma",
        )

    def _timing_cache(self) -> Path:
        """A file for this GPU and these versions; by default all share one temporary file."""
        facts = f"{self._gpu} {self._sm} {self._tensorrt} {self.version}"
        return cache.folder() / f"timing-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.bin"
