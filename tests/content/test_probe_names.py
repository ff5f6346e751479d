"""The names by which the probes report the parameters and buffers of an answer that has several for one object."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autograder.authored import load_module
from tests import corpus

TOOLS: Any = load_module(corpus.assignment().hidden_tests_dir, "probe_tools")
PRESCRIBED = (
    *("gamma", "beta", "W1", "bn1.gamma", "bn.running_mean"),
    *("blocks.10.fc2.weight", "norm_f.bias", "inp.weight"),
)
OTHER = (
    *("weight", "bias", "w", "W4", "norms.0.gamma"),
    *("trunk.0.fc1.weight", "branch.1.weight", "blocks.0.branch.1.weight"),
)


@given(st.permutations(PRESCRIBED + OTHER), st.lists(st.integers(0, 7), min_size=16, max_size=16))
def test_each_tensor_is_reported_once_by_its_prescribed_name(order: list[str], owners: list[int]) -> None:
    tensors = [torch.zeros(()) for _ in range(8)]
    pairs = [(name, tensors[owner]) for name, owner in zip(order, owners, strict=True)]
    found = TOOLS.one_name_each(pairs)
    assert {id(tensor) for tensor in found.values()} == {id(tensors[owner]) for owner in owners}
    assert len(found) == len(set(owners))
    for name, tensor in found.items():
        names = [other for other, one in pairs if one is tensor]
        assert name == next((other for other in names if other in PRESCRIBED), names[0])


@given(st.permutations(PRESCRIBED), st.permutations(OTHER), st.booleans(), st.lists(st.integers(0, 7), max_size=8))
def test_further_names_change_nothing(names: list[str], others: list[str], first: bool, owners: list[int]) -> None:
    own = [(name, torch.zeros(())) for name in names]
    further = [(other, own[owner][1]) for other, owner in zip(others, owners, strict=False)]
    found = TOOLS.one_name_each(further + own if first else own + further)
    assert {name: id(tensor) for name, tensor in found.items()} == {name: id(tensor) for name, tensor in own}


class Block(nn.Module):
    """A block of residual_stream whose layers are made and named by `build`."""

    def __init__(self, build: Callable[[Any], None]) -> None:
        super().__init__()
        build(self)


def plain(block: Any) -> None:
    block.norm = nn.BatchNorm1d(3)
    block.fc1, block.fc2 = nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False)


def branch_first(block: Any) -> None:
    block.branch = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False))
    block.norm, block.fc1, _, block.fc2 = block.branch


def branch_last(block: Any) -> None:
    plain(block)
    block.branch = nn.Sequential(block.norm, block.fc1, nn.Tanh(), block.fc2)


def weights_first(block: Any) -> None:
    block.write, block.read = nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.ones(4, 3))
    plain(block)
    block.fc1.weight, block.fc2.weight = block.read, block.write


def one_more(block: Any) -> None:
    branch_first(block)
    block.gain = nn.Parameter(torch.ones(3))


def one_for_two(block: Any) -> None:
    branch_first(block)
    block.fc2.weight = nn.Parameter(block.fc1.weight.detach().T)
    block.fc1 = block.fc2


NAMES = {"norm.weight", "norm.bias", "fc1.weight", "fc2.weight"}


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (plain, NAMES),
        (branch_first, NAMES),
        (branch_last, NAMES),
        (weights_first, NAMES),
        (one_more, NAMES | {"gain"}),
        (one_for_two, (NAMES - {"fc2.weight"}) | {"branch.1.weight"}),
    ],
)
def test_parameters_of_a_block(build: Callable[[Any], None], names: set[str]) -> None:
    block = Block(build).double()
    values = {name: torch.randn(value.shape).double() for name, value in TOOLS.named_parameters(block).items()}
    assert values.keys() == names
    buffers = TOOLS.buffers_of(block)
    assert buffers.keys() == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    before = TOOLS.named_parameters(block)
    TOOLS.set_values(block, values)
    assert_equal(TOOLS.parameters_of(block), values)
    for name, parameter in block.named_parameters(remove_duplicate=False):
        (own,) = [value for key, value in values.items() if before[key] is parameter]
        assert torch.equal(parameter, own), name
    assert all(TOOLS.named_parameters(block)[name] is one for name, one in before.items()), "set in place"


def assert_equal(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
