"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

Vyas, Morwani, Zhao, Kwun, Shapira, Brandfonbrener, Janson, Kakade: SOAP: Improving and Stabilizing Shampoo using Adam
(2024, arXiv:2409.11321). The network's four kernels are matrices of at most 64 x 576, so both sides of each are
preconditioned, at about an eighth of a step's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

EPSILON = 1e-8


class SOAP(Optimizer):
    """Optimizer for convolutions: kernels (out, in, h, w) as matrices (out, in*h*w); vectors by Adam.

    `rate` as Adam's (3e-3 is usual), `decay` decoupled as AdamW's, `refresh` in steps between two updates of the
    eigenbases. Deterministic, and all of its state is in `state_dict`.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], rate: float, *, decay: float = 0.0,
        betas: tuple[float, float] = (0.95, 0.99), refresh: int = 20,
    ) -> None:  # fmt: skip
        super().__init__(parameters, {"lr": rate, "decay": decay, "betas": betas, "refresh": refresh})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is taken
        """Take one step by the parameters' gradients; the first one only sets the bases up."""
        if closure is not None:
            raise ValueError("SOAP takes no closure")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    gradient = parameter.grad.reshape(len(parameter), -1) if parameter.ndim > 1 else parameter.grad
                    update = _update(self.state[parameter], gradient.float(), group)
                    parameter.mul_(1 - group["lr"] * group["decay"])
                    parameter.sub_(update.reshape(parameter.shape), alpha=group["lr"])


def _update(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """The step for one matrix or vector, in its own coordinates and before the rate."""
    first, second = group["betas"]
    if not state:
        state.update(step=0, mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
        if gradient.ndim > 1:
            state["left"], state["right"] = gradient @ gradient.T, gradient.T @ gradient
            state["rows"], state["columns"] = (
                torch.linalg.eigh(state[side]).eigenvectors for side in ("left", "right")
            )
            return torch.zeros_like(gradient)
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].lerp_(_turned(state, gradient).square(), 1 - second)
    mean = _turned(state, state["mean"]) / (1 - first ** state["step"])
    update: Tensor = mean / ((state["square"] / (1 - second ** state["step"])).sqrt() + EPSILON)
    if gradient.ndim == 1:
        return update
    update = state["rows"] @ update @ state["columns"].T
    state["left"].lerp_(gradient @ gradient.T, 1 - second)
    state["right"].lerp_(gradient.T @ gradient, 1 - second)
    if state["step"] % group["refresh"] == 0:
        _refresh(state, "left", "rows", axis=0)
        _refresh(state, "right", "columns", axis=1)
    return update


def _turned(state: dict[str, Tensor], matrix: Tensor) -> Tensor:
    """`matrix` in the eigenbases; a vector stays as it is."""
    if matrix.ndim == 1:
        return matrix
    rows, columns = state["rows"], state["columns"]
    return rows.T @ matrix @ columns


def _refresh(state: dict[str, Any], side: str, basis: str, axis: int) -> None:
    """One power iteration of an eigenbasis, by falling eigenvalue; the second moments follow the new order."""
    values = ((state[side] @ state[basis]) * state[basis]).sum(0)
    order = values.argsort(descending=True)
    state["square"] = state["square"].index_select(axis, order)
    state[basis] = torch.linalg.qr(state[side] @ state[basis][:, order]).Q
