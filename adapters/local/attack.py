"""Small attacks on a classifier in training: against them it learns what denoisers can use.

A classifier trained against attacks of a small L2 norm looks at what pictures show rather than at
patterns that only it sees. What a denoiser learns from such a surrogate pleases other classifiers
too (Springer, Mitchell, Kenyon, "A little robustness goes a long way: leveraging robust features
for targeted transfer attacks", NeurIPS 2021, found the same of attacks).
"""

import torch
from torch import nn
from torch.nn import functional


def attacked(
    network: nn.Module,
    pictures: torch.Tensor,
    labels: torch.Tensor,
    most: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Move each picture against its label, by an L2 norm that is drawn evenly from 0 to `most`.

    One step of the gradient from a random start (Wong, Rice, Kolter, "Fast is better than free",
    ICLR 2020, algorithm 3, with the L2 norm in place of the largest change).

    Args:
        network: scores pictures; is left in training mode.
        pictures: float32 (N, C, H, W) on [0, 1].
        labels: int64 (N,).
        most: largest norm of a change, on the pictures' scale.
        generator: source of the norms and of the starts.

    Returns:
        float32 (N, C, H, W) on [0, 1].
    """
    norms = most * torch.rand((len(pictures), 1, 1, 1), generator=generator)
    start = torch.randn(pictures.shape, generator=generator)
    change = (norms / 2 * _unit(start)).requires_grad_()
    network.eval()  # or the running statistics would learn of it twice
    loss = functional.cross_entropy(network(pictures + change).float(), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, change)
    network.train()
    moved = change.detach() + norms * _unit(gradient)
    length = moved.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp(min=1e-12)
    seen: torch.Tensor = (pictures + moved * (norms / length).clamp(max=1)).clamp(0, 1)
    return seen


def _unit(change: torch.Tensor) -> torch.Tensor:
    lengths: torch.Tensor = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return change / lengths.clamp(min=1e-12)
