"""How a classifier is trained, the built-in one or a surrogate. A `Task` of the training loop."""

import torch
from torch import nn
from torch.nn import functional

from adapters.local.attack import attacked


class ClassifierTask:
    """Cross-entropy on flipped, shifted pictures with a square cut out (DeVries, Taylor 2017).

    Args:
        network: to be trained; scores float32 (N, 3, H, W) on [0, 1].
        images: uint8 (N, 3, H, W).
        labels: int64 (N,).
        batch: pictures per step.
        seed: of the order.
        rate: peak learning rate.
        robust: largest L2 norm of the attacks that it has to stand, see
            :mod:`adapters.local.attack`; 0 for none.
    """

    name = "classifier"
    metric = "accuracy"

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        labels: torch.Tensor,
        *,
        batch: int = 256,
        seed: int = 0,
        rate: float = 0.2,
        robust: float = 0.0,
    ) -> None:
        self.model: nn.Module = network.to(
            memory_format=torch.channels_last  # type: ignore[call-overload]
        )
        self._robust = robust
        self._images, self._labels = images, labels
        self._batch, self._seed, self._rate = min(batch, len(images)), seed, rate

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the data."""
        return len(self._images) // self._batch

    def optimizer(self) -> torch.optim.Optimizer:
        """SGD with Nesterov momentum; no decay on normalisation and biases."""
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0}]
        return torch.optim.SGD(groups, lr=self._rate, momentum=0.9, nesterov=True)

    def loss(self, step: int, generator: torch.Generator) -> tuple[torch.Tensor, float, int]:
        """Compute one step: loss, accuracy on the augmented (and attacked) batch, pictures."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = torch.Generator().manual_seed(self._seed * 7919 + epoch)
        chosen = torch.randperm(len(self._images), generator=order)
        chosen = chosen[place * self._batch : (place + 1) * self._batch]
        labels = self._labels[chosen]
        pictures = augment(self._images[chosen], generator)
        if self._robust:
            pictures = attacked(self.model, pictures, labels, self._robust, generator)
        scores = self.model(pictures).float()
        loss = functional.cross_entropy(scores, labels, label_smoothing=0.1)
        right = (scores.argmax(1) == labels).float().mean().item()
        return loss, right, len(chosen)


def augment(images: torch.Tensor, generator: torch.Generator, cut: int = 8) -> torch.Tensor:
    """Flip, shift by up to 4 pixels and cut out a square, each picture by itself.

    Args:
        images: uint8 (N, 3, H, W).
        generator: source of the choices.
        cut: side of the square.

    Returns:
        float32 (N, 3, H, W) on [0, 1].
    """
    count, _, height, width = images.shape
    padded = functional.pad(images.float() / 255, (4, 4, 4, 4), mode="reflect")
    padded = padded.permute(0, 2, 3, 1).contiguous()
    rows = torch.randint(0, 9, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(0, 9, (count, 1), generator=generator) + torch.arange(width)
    flipped = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns)
    which = torch.arange(count).view(-1, 1, 1)
    shifted = padded[which, rows.unsqueeze(2), columns.unsqueeze(1)]
    top = torch.randint(0, height, (count, 1), generator=generator) - cut // 2
    left = torch.randint(0, width, (count, 1), generator=generator) - cut // 2
    y, x = torch.arange(height), torch.arange(width)
    in_rows = ((y >= top) & (y < top + cut)).unsqueeze(2)
    in_columns = ((x >= left) & (x < left + cut)).unsqueeze(1)
    shifted = shifted.masked_fill((in_rows & in_columns).unsqueeze(3), 0.5)
    return shifted.permute(0, 3, 1, 2)


@torch.inference_mode()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of pictures whose highest score is their label.

    Args:
        model: scores pictures; is put into evaluation mode.
        images: uint8 (N, 3, H, W).
        labels: int64 (N,).
    """
    model.eval()
    right = 0
    for start in range(0, len(images), 500):
        part = images[start : start + 500].float() / 255
        scores = model(part.contiguous(memory_format=torch.channels_last))
        right += int((scores.argmax(1) == labels[start : start + 500]).sum())
    return right / len(images)
