"""A GPU gives what the CPU gives, to several at once; a network may be none for a graph."""

import contextlib
import threading

import numpy as np
import pytest
import torch

from certification.errors import InvalidParameter
from certification.noise import draw_many
from denoisers import cuda_graphs, memory, registry
from denoisers.cuda_graphs import TRIED, Graph, Graphs, NotCapturable, compute_as_named
from denoisers.runtime import Runtime
from denoisers.sizes import Split
from tests.denoisers.threads import same_bits_in_threads

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

KEY = bytes(range(16))


def noisy_batch(count=40, height=32, width=32):
    rng = np.random.default_rng(0)
    return rng.integers(-100, 356, (count, height, width, 3)).astype(np.int16)


@needs_gpu
@pytest.mark.parametrize("sigma", [0.1, 0.25, 1.0])
def test_a_gpu_differs_from_the_cpu_by_rounding_alone(sigma):
    there, here = registry.load("cifar", "cuda"), registry.load("cifar", "cpu")
    noisy = noisy_batch()
    moved = np.abs(there.clean(noisy, sigma).astype(int) - here.clean(noisy, sigma).astype(int))
    assert moved.mean() < 1
    assert np.array_equal(there.clean(noisy[7:9], sigma), there.clean(noisy, sigma)[7:9])


@needs_gpu
def test_noise_drawn_on_a_gpu_is_that_of_the_cpu():
    there = registry.load("cifar", "cuda")
    pixels = noisy_batch(1)[0].clip(0, 255).astype(np.uint8)
    noisy = draw_many(KEY, range(3, 603), pixels.shape, 0.25) + pixels
    assert np.array_equal(there.clean_drawn(pixels, KEY, 3, 600, 0.25), there.clean(noisy, 0.25))


@needs_gpu
def test_threads_that_capture_at_once_do_not_spoil_each_others_graphs():
    sizes = [(32, 32), (48, 40), (64, 64)]
    expected = {
        size: registry.load("cifar", "cuda").clean(noisy_batch(9, *size), 0.5) for size in sizes
    }
    runtimes, wrong = [registry.load(name, "cuda") for name in ("cifar", "cifar", "photo")], []

    def work(runtime):
        for size in sizes:
            cleaned = runtime.clean(noisy_batch(9, *size), 0.5)
            if runtime.name == "cifar" and not np.array_equal(cleaned, expected[size]):
                wrong.append(size)

    threads = [threading.Thread(target=work, args=(r,)) for r in runtimes for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(runtime._graphs is not None for runtime in runtimes)
    assert same_bits_in_threads(runtimes[0], noisy_batch())


@needs_gpu
def test_on_a_gpu_a_network_that_looks_at_its_values_runs_without_a_graph():
    looks = Runtime("looks", Looks(), "0" * 64, device="cuda")
    assert np.array_equal(looks.clean(noisy_batch(), 0.25), noisy_batch().clip(0, 255))
    assert looks._graphs is None
    after = registry.load("cifar", "cuda")  # the failed capture has left nothing behind
    after.clean(noisy_batch(), 0.25)
    assert after._graphs is not None


class Looks(torch.nn.Module):
    def forward(self, noisy, sigma):
        return noisy if noisy.mean().item() < 1e9 else noisy * 0


class Graphless:
    """Stands for the graphs of a GPU that is not here: capturing fails as `error` says.

    Until all graphs have been given up, if there are `others`.
    """

    def __init__(self, error, most=4, others=0):
        self.error, self.cleared, self.most, self.others = error, 0, most, others

    def of(self, shape):
        if shape[0] > self.most or self.others:
            raise self.error
        return lambda samples, sigma: (
            samples.numpy().clip(0, 255).astype(np.uint8),
            torch.isfinite(torch.as_tensor(samples).float().sum(dim=(1, 2, 3))),
        )

    def clear(self, shape):
        self.cleared += 1
        had, self.others = self.others, 0
        return had > 0


def test_a_batch_of_one_takes_the_memory_of_other_sizes_before_it_gives_up():
    noisy, runtime = noisy_batch(3), registry.load("cifar", "cpu")
    full = torch.OutOfMemoryError("CUDA out of memory")
    runtime._sizes._found[32, 32] = Split(1, 1)
    runtime._graphs = graphs = Graphless(full, others=7)
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy.clip(0, 255))
    assert graphs.cleared == 1
    runtime._graphs = Graphless(full, most=0, others=7)
    with pytest.raises(InvalidParameter, match="does not hold one picture"):
        runtime.clean(noisy, 0.25)


def test_a_size_that_has_no_room_beside_the_graphs_of_others_gets_theirs(monkeypatch):
    runtime = registry.load("cifar", "cpu")
    runtime._graphs = graphs = Graphless(None, others=7)
    monkeypatch.setattr(memory, "largest_batch", lambda *_: 0.1 if graphs.others else 8)
    monkeypatch.setattr(memory, "holds_one", lambda *_: not graphs.others)
    monkeypatch.setattr(memory, "give_back", lambda: None)
    runtime._device = torch.device("cuda", 0)
    monkeypatch.setattr(memory, "could_hold_one", lambda *_: False)
    with pytest.raises(InvalidParameter, match="does not hold one picture"):
        runtime.batch_of(96, 96)
    assert graphs.cleared == 0  # that would have been no use
    monkeypatch.setattr(memory, "could_hold_one", lambda *_: True)
    assert runtime.batch_of(96, 96) == 8
    assert graphs.cleared == 1


def test_graphs_tell_whether_there_was_one_of_another_size():
    graphs = Graphs(None, torch.device("cpu"))
    one, other = (1, 8, 8, 3), (1, 9, 9, 3)
    assert not graphs.clear()
    for kept, shape, others in [
        ([one], one, False),
        ([other], one, True),
        ([one, other], one, True),
        ([one], None, True),
    ]:
        graphs._kept.update(dict.fromkeys(kept))
        assert graphs.clear(shape) == others
        assert not graphs._kept


def test_a_network_that_cannot_be_captured_is_computed_without(caplog):
    noisy, runtime = noisy_batch(), registry.load("cifar", "cpu")
    expected = runtime.clean(noisy, 0.25)
    runtime._graphs = Graphless(NotCapturable("operation not permitted when stream is capturing"))
    for _ in range(2):
        assert np.array_equal(runtime.clean(noisy, 0.25), expected)
    (record,) = caplog.records
    assert "cifar runs without CUDA graphs" in record.message
    assert "operation not permitted" in record.message


def test_a_network_that_fails_by_itself_keeps_its_graphs_for_other_pictures(caplog):
    noisy, runtime = noisy_batch(), registry.load("cifar", "cpu")
    graphs = runtime._graphs = Graphless(RuntimeError("kernel size cannot be greater"))
    with pytest.raises(InvalidParameter, match="kernel size cannot be greater"):
        runtime.clean(noisy, 0.25)
    assert runtime._graphs is graphs
    assert not any("without CUDA graphs" in record.message for record in caplog.records)


def test_a_network_is_captured_small_before_it_is_captured_large(monkeypatch):
    captured, able = [], [False]

    def capture(function, shape, device):
        captured.append(shape)
        if not able[0]:
            raise NotCapturable("operation not permitted when stream is capturing")
        return shape

    monkeypatch.setattr(cuda_graphs, "Graph", capture)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    graphs, shape = Graphs(None, torch.device("cuda", 0)), (512, 32, 32, 3)
    with pytest.raises(NotCapturable):
        graphs.of(shape)
    assert captured == [TRIED]
    able[0] = True
    assert [graphs.of(shape), graphs.of(shape)] == [shape, shape]
    assert captured == [TRIED, TRIED, shape]


def test_a_graph_without_memory_is_tried_with_half_the_batch():
    noisy, runtime = noisy_batch(), registry.load("cifar", "cpu")
    runtime._sizes._beside = False  # as on a GPU
    begun = runtime.batch_of(32, 32)
    runtime._graphs = graphs = Graphless(torch.OutOfMemoryError("CUDA out of memory"))
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy.clip(0, 255))
    assert runtime.batch_of(32, 32) == 4
    assert 4 * 2**graphs.cleared == begun  # halved, and halved again


class Spoilt:
    """A capture that ends with an error of its own, as torch's does where one was under way."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        pass

    def __exit__(self, *_):
        raise RuntimeError("operation failed due to a previous error during capture")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("not permitted"), None]
)
def test_a_spoilt_capture_tells_what_spoilt_it(monkeypatch, error):
    monkeypatch.setattr(torch.cuda, "graph", Spoilt)
    graph = Graph.__new__(Graph)
    graph._noisy = graph._sigma = graph._graph = None

    def function(noisy, sigma):
        if error is not None:
            raise error
        return noisy

    with pytest.raises(RuntimeError) as caught:
        graph._captured(function, None)
    if error is None:
        assert "previous error" in str(caught.value)
    else:
        assert caught.value is error


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, torch.AcceleratorError, RuntimeError])
def test_only_what_a_capture_does_not_permit_means_that_there_can_be_none(monkeypatch, kind):
    """On tensors of the CPU, with the parts of torch that need a GPU left out."""
    monkeypatch.setattr(cuda_graphs, "compute_as_named", lambda: None)
    for name in ("Stream", "stream", "current_stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: Nothing())
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch, "zeros", lambda shape, **_: np.zeros(shape))
    calls = []

    def function(noisy, sigma):
        calls.append(noisy)
        if len(calls) == first:
            raise kind("it says")
        return noisy, sigma

    for first, expected in ((1, kind), (4, kind if kind is torch.OutOfMemoryError else None)):
        calls.clear()
        with pytest.raises(expected or NotCapturable, match="it says") as caught:
            Graph(function, (1, 8, 8, 3), torch.device("cpu"))
        assert len(calls) == first
        assert isinstance(caught.value, NotCapturable) == (expected is None)


class Nothing(contextlib.nullcontext):
    def wait_stream(self, other):
        pass


def test_kernels_are_asked_to_add_in_one_order_and_in_float32(monkeypatch):
    for name in ("deterministic", "benchmark", "allow_tf32"):
        monkeypatch.setattr(torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
    compute_as_named()
    cudnn = torch.backends.cudnn
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == (True, False, False)


@pytest.fixture
def kinds():
    """What the precision of float32 can be set for, first for all; as it was after the test."""
    cudnn = torch.backends.cudnn
    kinds = (torch.backends, cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [kind.fp32_precision for kind in kinds]
    yield kinds
    torch.set_float32_matmul_precision("highest")
    for kind, was in zip(kinds, before, strict=True):
        kind.fp32_precision = was


@pytest.mark.parametrize("mode", ["high", "medium"])
def test_float32_stays_float32_whatever_a_package_has_set_in_the_older_way(kinds, mode):
    torch.set_float32_matmul_precision(mode)
    compute_as_named()
    assert {kind.fp32_precision for kind in kinds[1:]} == {"ieee"}
    # Or torch.compile, which asks in the older way too, would fail.
    assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.get_float32_matmul_precision() == "highest"


def test_float32_stays_float32_whatever_a_package_has_set_for_all(kinds):
    for kind in kinds[1:]:
        kind.fp32_precision = "none"
    torch.backends.fp32_precision = "tf32"
    compute_as_named()
    assert {kind.fp32_precision for kind in kinds[1:]} == {"ieee"}
