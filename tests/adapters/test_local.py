"""The built-in classifier: real answers, the same for any batch."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.errors import NotConfigured
from adapters.interface import Answer
from adapters.local.adapter import LocalAdapter
from adapters.local.labels import LABELS
from adapters.local.network import LocalClassifier
from adapters.local.training import ClassifierTask, accuracy, augment
from adapters.local.weights import load_classifier, save_classifier

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


def test_the_task_learns(tmp_path):
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    pictures = torch.where(labels.view(-1, 1, 1, 1) == 1, 200, 50).expand(-1, 3, 32, 32)
    task = ClassifierTask(pictures.to(torch.uint8), labels, batch=20, rate=0.02)
    optimizer = task.optimizer()
    for step in range(12):
        optimizer.zero_grad()
        loss, _, count = task.loss(step, torch.Generator().manual_seed(step))
        loss.backward()
        optimizer.step()
        assert count == 20
    assert accuracy(task.model, pictures.to(torch.uint8), labels) == 1.0
