"""The built-in classifier: real answers, the same for any batch."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from adapters.errors import NotConfigured
from adapters.interface import Answer
from adapters.local.adapter import LocalAdapter
from adapters.local.labels import LABELS
from adapters.local.network import LocalClassifier
from adapters.local.training import ClassifierTask, accuracy, augment
from adapters.local.weights import classifier, load_classifier, save_classifier

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def local():
    return LocalAdapter()


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


async def test_every_answer_lists_ten_labels_and_their_shares(local):
    outcomes = await local.classify(list(images(5)))
    assert len(outcomes) == 5
    for outcome in outcomes:
        assert isinstance(outcome, Answer)
        assert tuple(p.name for p in outcome.predictions) == LABELS
        assert sum(p.score for p in outcome.predictions) == pytest.approx(1, abs=1e-5)
        assert outcome.model_version == f"cifar-{local.options['weights_sha256'][:12]}"


async def test_an_answer_does_not_depend_on_its_neighbours(local):
    pictures = images(32)
    whole = await local.classify(list(pictures))
    for start, stop in [(0, 1), (7, 9), (20, 32)]:
        assert await local.classify(list(pictures[start:stop])) == whole[start:stop]


def test_folding_the_normalisation_changes_nothing_that_matters(tmp_path):
    torch.manual_seed(0)
    network = LocalClassifier(width=4)
    network.train()
    with torch.no_grad():
        network(torch.rand(16, 3, 32, 32))  # moves the running statistics
    save_classifier(network, tmp_path / "w.safetensors")
    loaded = load_classifier(tmp_path / "w.safetensors")
    pictures = images(6)
    with torch.no_grad():
        plain = network.eval()(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255).softmax(1)
    assert np.abs(loaded.probabilities(pictures) - plain.numpy()).max() < 1e-5


def test_a_surrogate_of_its_kind_is_made_or_read(tmp_path):
    torch.manual_seed(0)
    fresh = classifier()
    save_classifier(fresh, tmp_path / "w.safetensors")
    read = classifier(str(tmp_path / "w.safetensors"))
    pictures = torch.from_numpy(images(4)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        assert torch.allclose(read.eval()(pictures), fresh.eval()(pictures), atol=1e-4)


def test_damaged_weights_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_classifier(LocalClassifier(width=4), path)
    data, tensors = path.read_bytes(), load_file(path)
    path.write_bytes(data[:-10])
    with pytest.raises(NotConfigured, match="install Surety again"):
        load_classifier(path)
    for change in ({"head.bias": torch.zeros(3)}, {"extra": torch.zeros(1)}):
        save_file({**tensors, **change}, path)
        with pytest.raises(NotConfigured):
            load_classifier(path)
    tensors.pop("body.1.1.running_mean")
    save_file(tensors, path)
    with pytest.raises(NotConfigured):
        load_classifier(path)


def test_augmentation_keeps_shape_and_range_and_follows_its_generator():
    pictures = torch.from_numpy(images(8)).permute(0, 3, 1, 2)
    one = augment(pictures, torch.Generator().manual_seed(1))
    two = augment(pictures, torch.Generator().manual_seed(1))
    three = augment(pictures, torch.Generator().manual_seed(2))
    assert one.shape == (8, 3, 32, 32)
    assert one.min() >= 0
    assert one.max() <= 1
    assert torch.equal(one, two)
    assert not torch.equal(one, three)
    assert (one == 0.5).flatten(1).sum(1).min() >= 3 * 16  # a square (or its corner) is cut out


def trained(network, pictures, labels, steps, **options):
    task = ClassifierTask(network, pictures, labels, batch=20, **options)
    optimizer = task.optimizer()
    for step in range(steps):
        optimizer.zero_grad()
        loss, _, count = task.loss(step, torch.Generator().manual_seed(step))
        loss.backward()
        optimizer.step()
        assert count == 20
    return task.model


def test_the_task_learns():
    labels = torch.arange(40) % 2
    pictures = torch.where(labels.view(-1, 1, 1, 1) == 1, 200, 50).expand(-1, 3, 32, 32)
    torch.manual_seed(0)
    pictures = pictures.to(torch.uint8)
    network = trained(LocalClassifier(), pictures, labels, 12, rate=0.02)
    assert accuracy(network, pictures, labels) == 1.0


class Halves(nn.Module):
    """Sees how light a picture is, and how much lighter its upper half is."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        upper, lower = (half.mean((1, 2, 3)) for half in x.split(16, dim=2))
        return self.head(self.norm(torch.stack([upper + lower, upper - lower], dim=1)))


def sign(labels):
    return (2 * labels - 1).view(-1, 1, 1, 1)


def lit(labels, shown):
    """Pictures whose faint slope tells the label for sure, whose light what is `shown`."""
    rows = torch.where(torch.arange(32) < 16, 8, -8).view(1, 1, 32, 1)
    pictures = 128 + 40 * sign(shown) + rows * sign(labels)
    return pictures.expand(-1, 3, 32, 32).to(torch.uint8)


def test_against_attacks_it_learns_what_is_plain_to_see():
    """The slope tells 100 %, the light 90 %; but an attack of norm 2 turns the slope."""
    labels = torch.arange(400) // 2 % 2
    shown = torch.where(torch.arange(400) % 10 == 9, 1 - labels, labels)
    torn = lit(labels, 1 - labels)
    follows = []
    for robust in (0.0, 4.0):
        torch.manual_seed(0)
        network = trained(Halves(), lit(labels, shown), labels, 200, rate=0.05, robust=robust)
        follows.append(accuracy(network, torn, labels))
    assert follows == [1.0, 0.0]  # the slope, the light


def test_layers_that_share_a_tensor_are_saved(tmp_path):
    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = self.body = torch.nn.Linear(2, 2)

    network = Shared()
    save_classifier(network, tmp_path / "w.safetensors")
    again = Shared()
    again.load_state_dict(load_file(tmp_path / "w.safetensors"))
    assert torch.equal(again.body.weight, network.body.weight)


def test_a_full_disk_is_an_error_of_the_system(tmp_path, limit_files):
    with limit_files(100), pytest.raises(OSError, match="too large"):
        save_classifier(LocalClassifier(width=4), tmp_path / "w.safetensors")
