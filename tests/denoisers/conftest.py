"""What tests of the denoisers need."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _two_threads():
    """As where Surety is used: what is cleaned must not depend on who cleans which part."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def four_threads(_two_threads):
    """More than most machines that test have; `_two_threads` puts the number back."""
    torch.set_num_threads(4)
