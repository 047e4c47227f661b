"""The optimizer: what its paper promises, on problems whose answer is known."""

import copy

import torch

from train.soap import SOAP


def slanted_regression():
    """Inputs whose directions differ a hundredfold in size, turned so that no coordinate shows it."""
    made = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=made)).Q
    inputs = torch.randn(400, 12, generator=made) * torch.logspace(0, -2, 12) @ turn
    wanted = torch.randn(12, 6, generator=made)
    layer = torch.nn.Linear(12, 6)
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.zero_()
    return layer, lambda: (layer(inputs) - inputs @ wanted).square().mean()


def train(layer, loss_of, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of().backward()
        optimizer.step()
    return float(loss_of().detach())


def test_slanted_directions_are_learnt_sooner_than_by_adam():
    soap, loss_of = slanted_regression()
    reached = train(soap, loss_of, SOAP(soap.parameters(), 3e-2, refresh=5), 150)
    adam, loss_of = slanted_regression()
    assert reached < 0.5 * train(adam, loss_of, torch.optim.Adam(adam.parameters(), 3e-2), 150)


def test_bases_are_orthonormal_and_diagonalise_the_moments():
    layer, loss_of = slanted_regression()
    optimizer = SOAP(layer.parameters(), 1e-2, refresh=1)
    train(layer, loss_of, optimizer, 60)
    state = optimizer.state[layer.weight]
    for side, basis, size in (("left", "rows", 6), ("right", "columns", 12)):
        torch.testing.assert_close(state[basis].T @ state[basis], torch.eye(size), atol=1e-5, rtol=0)
        turned = state[basis].T @ state[side] @ state[basis]
        across = turned - torch.diag(turned.diag())
        assert across.norm() < 0.1 * turned.norm()


def test_a_stored_state_goes_on_to_the_same_weights():
    layer, loss_of = slanted_regression()
    optimizer = SOAP(layer.parameters(), 1e-2)
    train(layer, loss_of, optimizer, 30)
    stored = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(layer.state_dict())
    train(layer, loss_of, optimizer, 30)
    again, loss_of = slanted_regression()
    resumed = SOAP(again.parameters(), 1e-2)
    resumed.load_state_dict(stored[0])
    again.load_state_dict(stored[1])
    train(again, loss_of, resumed, 30)
    assert torch.equal(again.weight, layer.weight)


def test_kernels_keep_their_shape_and_decay_shrinks_them():
    kernel = torch.nn.Parameter(torch.ones(4, 2, 3, 3))
    optimizer = SOAP([kernel], 1e-2, decay=0.5)
    kernel.grad = torch.zeros_like(kernel)
    optimizer.step()
    torch.testing.assert_close(kernel.detach(), torch.full((4, 2, 3, 3), 1 - 0.005))
