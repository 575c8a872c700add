"""The runtime: any size, any batch, the same bits; the shipped weights really denoise."""

import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from certification.errors import InvalidParameter
from certification.noise import draw_many
from denoisers import computing, memory, placing, registry
from denoisers.device import cpu_has_bfloat16
from denoisers.dncnn import DnCNN
from denoisers.errors import BrokenWeights, NotUsable
from denoisers.fused import available
from denoisers.none import NoDenoiser
from denoisers.runtime import Runtime
from denoisers.unet import UNet
from denoisers.weights import load_weights
from tests.denoisers.threads import same_bits_in_threads

WEIGHTS = Path(__file__).parents[2] / "denoisers/weights/cifar.safetensors"


@pytest.fixture(scope="module")
def cifar():
    return registry.load("cifar")


def noisy_batch(count, height=32, width=32, sigma=0.25, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    smooth = 128 + 60 * np.sin(x / 9)[..., None] * np.cos(y / 7)[..., None] * np.ones(3)
    clean = np.broadcast_to(smooth.astype(np.int16), (count, height, width, 3))
    noise = np.rint(rng.normal(0, 255 * sigma, clean.shape)).astype(np.int16)
    return clean, clean + noise


def test_a_picture_does_not_depend_on_what_shares_its_batch(cifar):
    _, noisy = noisy_batch(75)
    whole = cifar.clean(noisy, 0.25)
    assert whole.shape == noisy.shape
    assert whole.dtype == np.uint8
    for start, stop in [(0, 1), (3, 4), (31, 33), (10, 60), (74, 75)]:
        assert np.array_equal(cifar.clean(noisy[start:stop], 0.25), whole[start:stop])
    shuffled = np.random.default_rng(1).permutation(75)
    assert np.array_equal(cifar.clean(noisy[shuffled], 0.25), whole[shuffled])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 8), (33, 31), (64, 40)])
def test_any_size(cifar, height, width):
    _, noisy = noisy_batch(2, height, width)
    assert cifar.clean(noisy, 0.5).shape == (2, height, width, 3)


def test_large_pictures_take_small_batches(cifar):
    """64 pictures of 2048×2048 would take 50 GB."""
    sizes = [(32, 32), (224, 224), (512, 512), (2048, 2048)]
    assert [cifar.batch_of(*size) for size in sizes] == [64, 4, 1, 1]
    _, noisy = noisy_batch(5, 224, 224)
    whole = cifar.clean(noisy, 0.25)
    assert np.array_equal(cifar.clean(noisy[3:4], 0.25), whole[3:4])


class Greedy(torch.nn.Module):
    """Asks torch for more memory than any machine has, for batches beyond `most`."""

    def __init__(self, most):
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, noisy, sigma):
        self.seen.append(len(noisy))
        if len(noisy) > self.most:
            torch.empty(2**58, dtype=torch.uint8)
        return noisy


@pytest.mark.usefixtures("one_thread")
def test_a_batch_that_exhausts_the_memory_is_halved_until_it_fits():
    runtime = Runtime("greedy", Greedy(4), "0" * 64, device="cpu")
    _, noisy = noisy_batch(10)
    assert runtime.batch_of(32, 32) == 64
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy.clip(0, 255))
    assert runtime.batch_of(32, 32) == 4
    assert runtime.batch_of(16, 16) == 64
    assert np.array_equal(runtime.clean(noisy[:1], 0.25), noisy[:1].clip(0, 255))
    # one picture alone was a trial, or measured the memory; two were a trial
    assert [n for n in runtime._network.seen if n > 2] == [64, 32, 16, 8, 4, 4, 4, 4]


def test_a_picture_that_memory_cannot_hold_is_refused():
    runtime = Runtime("greedy", Greedy(1), "0" * 64, device="cpu")
    runtime._network.most = 0
    with pytest.raises(InvalidParameter, match="does not hold one picture of 32×32") as caught:
        runtime.clean(noisy_batch(3)[1], 0.25)
    assert caught.value.field == "size"
    runtime._network.most = 1
    assert runtime.clean(noisy_batch(3)[1], 0.25).shape == (3, 32, 32, 3)  # turns were given back


def test_a_picture_larger_than_the_memory_is_refused_before_it_costs_the_process_its_life(
    monkeypatch,
):
    runtime = Runtime("x", UNet(width=8, half=1, quarter=1, eighth=1), "0" * 64, device="cpu")
    one = memory.peak_bytes(runtime._network, 64, 64)
    monkeypatch.setattr(memory, "free_bytes", lambda device: one - 1)
    for _ in range(2):
        with pytest.raises(InvalidParameter, match="does not hold one picture of 64×64") as caught:
            runtime.batch_of(64, 64)
    assert caught.value.field == "size"
    assert runtime.batch_of(32, 32) == 1
    monkeypatch.setattr(memory, "free_bytes", lambda device: one)  # it was not remembered
    assert runtime.batch_of(64, 64) == 1


def test_what_a_batch_takes_that_runs_now_is_not_missing_for_the_next(monkeypatch):
    """A job of large pictures of several sizes would lose all that came at the wrong moment."""
    begun, go_on, free = threading.Event(), threading.Event(), [10**9]
    measured = threading.Event()

    def slow(noisy):
        if not measured.is_set():
            return noisy
        free[0] = 0
        begun.set()
        assert go_on.wait(30)
        free[0] = 10**9
        return noisy

    runtime = Runtime("slow", Odd(slow), "0" * 64, device="cpu")
    runtime.batch_of(32, 32)
    measured.set()
    monkeypatch.setattr(memory, "free_bytes", lambda device: free[0])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(runtime.clean, noisy_batch(1)[1], 0.25)
        assert begun.wait(30)
        second = pool.submit(runtime.batch_of, 48, 48)
        assert not second.done()
        go_on.set()
        assert second.result(30) == 64
        assert first.result(30).shape == (1, 32, 32, 3)


class Looks(torch.nn.Module):
    def forward(self, noisy, sigma):
        return noisy * (float(sigma[0]) > 0)


def test_a_network_whose_memory_cannot_be_measured_is_not_refused_for_a_guess(monkeypatch):
    runtime = Runtime("looks", Looks(), "0" * 64, device="cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda device: 500 * 400 * 400)
    assert memory.measured(runtime._network, 400, 400) is None
    assert memory.peak_bytes(runtime._network, 400, 400) == 1024 * 400 * 400
    assert runtime.batch_of(400, 400) == 1


def test_a_size_that_is_known_does_not_wait_for_one_that_is_measured(monkeypatch):
    runtime = Runtime("x", UNet(width=8, half=1, quarter=1, eighth=1), "0" * 64, device="cpu")
    known = runtime.batch_of(32, 32)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        assert go_on.wait(30)
        return 8

    monkeypatch.setattr(memory, "largest_batch", slow)
    other = threading.Thread(target=runtime.batch_of, args=(48, 48))
    other.start()
    assert begun.wait(30)
    assert runtime.batch_of(32, 32) == known  # while the other thread measures
    assert other.is_alive()
    go_on.set()
    other.join()
    assert runtime.batch_of(48, 48) == 8


class Odd(torch.nn.Module):
    """Does something else on pictures 32 wide than on those it was tried with."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, noisy, sigma):
        return self.make(noisy) if noisy.shape[3] == 32 else noisy


def infinite_in_the_first(noisy):
    noisy = noisy.clone()
    noisy[0, 0, 0, 0] /= 0
    return noisy


def failing(noisy):
    raise IndexError("something else\nin /a/secret/path")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (failing, r"pixels: something else; choose another one, or another size$"),
        (lambda noisy: noisy[..., :-1], r"made \(64, 3, 32, 31\) of \(64, 3, 32, 32\)"),
        (infinite_in_the_first, "made values that are not finite"),
    ],
    ids=["fails", "shape", "infinite"],
)
def test_a_network_that_fails_on_some_pictures_says_so(make, says):
    runtime = Runtime("odd", Odd(make), "0" * 64, device="cpu")
    wanted = f"the denoiser 'odd' failed on.* 32×32 .*{says}"
    with pytest.raises(InvalidParameter, match=wanted) as c:
        runtime.clean(noisy_batch(3)[1], 0.25)
    assert c.value.field == "denoiser"
    assert runtime.batch_of(32, 32) == 64  # it was no lack of memory
    assert runtime.clean(noisy_batch(2, 16, 16)[1], 0.25).shape == (2, 16, 16, 3)


def test_what_fills_a_batch_up_may_be_no_number():
    def relative(noisy):
        return noisy / noisy.abs().mean(dim=(1, 2, 3), keepdim=True)

    runtime = Runtime("relative", Odd(relative), "0" * 64, device="cpu")
    assert runtime.clean(noisy_batch(3)[1], 0.25).shape == (3, 32, 32, 3)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: an illegal memory access was encountered",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "CUDA driver error: invalid argument",
        "CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx",
    ],
)
def test_a_device_that_fails_is_not_the_pictures_fault(said):
    def broken(noisy):
        raise RuntimeError(said)

    runtime = Runtime("odd", Odd(broken), "0" * 64, device="cpu")
    with pytest.raises(NotUsable, match=f"device of the denoiser 'odd' failed: {said}"):
        runtime.clean(noisy_batch(3)[1], 0.25)


@pytest.mark.usefixtures("one_thread")
def test_kernels_that_have_no_memory_for_their_code_are_not_the_pictures_fault():
    """Smaller batches are tried; but oneDNN may make no kernel any more, whatever is asked for."""
    tried = []

    def broken(noisy):
        tried.append(len(noisy))
        raise RuntimeError("could not create a primitive")

    runtime = Runtime("odd", Odd(broken), "0" * 64, device="cpu")
    with pytest.raises(NotUsable, match="begin the process anew"):
        runtime.clean(noisy_batch(3)[1], 0.25)
    assert tried[-7:] == [64, 32, 16, 8, 4, 2, 1]


@pytest.mark.parametrize("sigma", [1e-46, 1e-9, 1e-4])
def test_next_to_no_noise_is_no_black_picture(cifar, sigma):
    clean, _ = noisy_batch(2)
    assert np.abs(cifar.clean(clean.copy(), sigma).astype(int) - clean).max() <= 2


class Normed(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, noisy, sigma):
        return self.layer(noisy)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (torch.nn.BatchNorm2d(3, track_running_stats=False), "depends on the others in its batch"),
        (torch.nn.functional.dropout, "something else of the same picture each time"),
        (lambda noisy: noisy.reshape(1, 3, *noisy.shape[2:]), "fails on two pictures at once"),
        (lambda noisy: torch.cat([noisy[:1] / 2, noisy[1:]]), "depends on its place in the batch"),
    ],
    ids=["batch norm", "dropout", "one alone", "by place"],
)
def test_a_network_whose_votes_would_depend_on_each_other_is_refused(layer, says):
    with pytest.raises(BrokenWeights, match=says):
        Runtime("normed", Normed(layer), "0" * 64, device="cpu")
    Runtime("normed", Normed(torch.nn.BatchNorm2d(3)), "0" * 64, device="cpu")


def test_an_empty_batch_stays_empty(cifar):
    assert cifar.clean(np.empty((0, 8, 8, 3), np.int16), 0.5).shape == (0, 8, 8, 3)


@pytest.mark.parametrize("sigma", [0.05, 0.25, 0.5, 1.0])
def test_the_shipped_weights_denoise(cifar, sigma):
    clean, noisy = noisy_batch(8, sigma=sigma)
    before = np.square(noisy.clip(0, 255) - clean.astype(float)).mean()
    after = np.square(cifar.clean(noisy, sigma) - clean.astype(float)).mean()
    assert after < before / (2 if sigma < 0.1 else 6)


def test_several_threads_get_the_same_bits(cifar):
    _, noisy = noisy_batch(40)
    assert same_bits_in_threads(cifar, noisy)


def test_the_level_matters():
    torch.manual_seed(0)
    network = UNet(width=4, half=1, quarter=1, eighth=1)
    torch.nn.init.normal_(network.tail.weight, std=0.1)
    runtime = Runtime("x", network, "0" * 64, device="cpu")
    _, noisy = noisy_batch(1)
    assert not np.array_equal(runtime.clean(noisy, 0.05), runtime.clean(noisy, 1.0))


def test_rounding_is_to_nearest_and_clipped():
    class Same(torch.nn.Module):
        def forward(self, noisy, sigma):
            return noisy + 0.4 / 255

    noisy = np.array([[[[-7, 0, 100], [254, 255, 300]]]], dtype=np.int16)
    out = Runtime("same", Same(), "0" * 64, device="cpu").clean(noisy, 0.1)
    assert out.tolist() == [[[[0, 0, 100], [254, 255, 255]]]]
    assert NoDenoiser().clean(noisy, 0.1).tolist() == out.tolist()


def test_registry_names_what_is_installed():
    assert {"cifar", "none"} <= set(registry.names())
    none = registry.load("none")
    assert (none.name, none.weights_sha256) == ("none", None)
    assert (none.batch_of(32, 32), none.batch_of(2048, 2048)) == (32, 1)
    with pytest.raises(registry.UnknownDenoiser, match=r"'nope'.*cifar"):
        registry.load("nope")


class Liar(NoDenoiser):
    name = "another"


class Half:
    name, compute, summary = "half", "cpu", "says no more than this"


def half(device):
    return Half()


def lying(device):
    return Liar()


def crashing(device):
    raise ZeroDivisionError("/a/secret/path")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lying", "calls itself 'another'"),
        ("crashing", r"cannot be loaded \(ZeroDivisionError\)$"),
        ("half", "has no `weights_sha256`"),
        ("absent", r"cannot be loaded \(ModuleNotFoundError\)$"),
    ],
)
def test_a_strangers_broken_denoiser(monkeypatch, name, says):
    targets = {
        "half": "tests.denoisers.test_runtime:half",
        "lying": "tests.denoisers.test_runtime:lying",
        "crashing": "tests.denoisers.test_runtime:crashing",
        "absent": "no_such_package:make",
    }
    entries = {n: EntryPoint(n, t, registry.GROUP) for n, t in targets.items()}
    monkeypatch.setattr(registry, "_entries", lambda: entries)
    with pytest.raises(NotUsable, match=says):
        registry.load(name)


def test_a_name_that_two_packages_claim(monkeypatch):
    """Which of them wins would differ from machine to machine, and with it what is certified."""
    claims = [
        EntryPoint("theirs", "tests.denoisers.test_runtime:lying", registry.GROUP),
        EntryPoint("theirs", "tests.denoisers.test_runtime:half", registry.GROUP),
        EntryPoint("photo", "tests.denoisers.test_runtime:half", registry.GROUP),
    ]
    own = list(entry_points(group=registry.GROUP))

    for found in ([*own, *claims], [*claims, *own]):

        def entries(found=found, **wanted):
            return EntryPoints(found).select(**wanted)

        monkeypatch.setattr(registry, "entry_points", entries)
        with pytest.raises(NotUsable, match=r"'theirs' is both tests.*:half and tests.*:lying: un"):
            registry.load("theirs")
        assert registry.load("photo").weights_sha256 is not None  # Surety's own stays that


@pytest.mark.parametrize(
    "make",
    [
        lambda noisy, sigma: noisy[:, :2],
        lambda noisy, sigma: noisy[..., :-1],
        lambda noisy, sigma: noisy / 0,
        lambda noisy, sigma: "a picture",
    ],
    ids=["channels", "width", "infinite", "text"],
)
def test_a_network_that_makes_no_pictures_is_refused(make):
    class NoPictures(torch.nn.Module):
        def forward(self, noisy, sigma):
            return make(noisy, sigma)

    with pytest.raises(BrokenWeights, match="must return pictures of the shape"):
        Runtime("odd", NoPictures(), "0" * 64, device="cpu")


class Float32Only(torch.nn.Module):
    """A stranger's network that does not bring its input to the type of its weights."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, noisy, sigma):
        return self.conv(noisy)


class AsksForFloat32(UNet):
    precision = "float32"


def test_the_compute_type_is_what_is_computed_with():
    way = "/fused2" if available(torch.device("cpu"), torch.bfloat16) else ""
    fast = f"cpu/bfloat16{way}" if cpu_has_bfloat16() else "cpu/float32"
    small = {"width": 8, "half": 1, "quarter": 1, "eighth": 1}
    assert Runtime("a", UNet(**small), "0" * 64, device="cpu").compute == fast
    assert Runtime("b", Float32Only(), "0" * 64, device="cpu").compute == "cpu/float32"
    asks = Runtime("c", AsksForFloat32(**small), "0" * 64, device="cpu")
    assert asks.compute == "cpu/float32"
    assert {p.dtype for p in asks._network.parameters()} == {torch.float32}


class NoBfloat16(UNet):
    said = torch.OutOfMemoryError("CUDA out of memory")

    def forward(self, noisy, sigma):
        if next(self.parameters()).dtype == torch.bfloat16:
            raise self.said
        return super().forward(noisy, sigma)


def test_memory_that_is_full_for_a_moment_does_not_change_the_compute_type(monkeypatch):
    """Else a GPU that others share would count under another subject from then on."""
    small = {"width": 8, "half": 1, "quarter": 1, "eighth": 1}
    monkeypatch.setattr(placing, "precision", lambda _: torch.bfloat16)
    with pytest.raises(NotUsable, match="CUDA out of memory"):
        Runtime("full", NoBfloat16(**small), "0" * 64, device="cpu")
    # Which cuDNN also says of a layer that it cannot compute in this type.
    monkeypatch.setattr(NoBfloat16, "said", RuntimeError("unable to find an engine"))
    assert Runtime("odd", NoBfloat16(**small), "0" * 64, device="cpu").compute == "cpu/float32"


def test_the_network_that_was_given_stays_as_it_was():
    network = DnCNN(depth=4, width=8)
    Runtime("d", network, "0" * 64, device="cpu")
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())


def test_bfloat16_costs_next_to_no_quality():
    network, _ = load_weights(WEIGHTS)
    clean, noisy = noisy_batch(8)
    fast = Runtime("fast", network, "0" * 64, device="cpu").clean(noisy, 0.25)
    network.precision = "float32"
    exact = Runtime("exact", network, "0" * 64, device="cpu").clean(noisy, 0.25)
    errors = [np.square(out - clean.astype(float)).mean() for out in (fast, exact)]
    assert errors[0] < 1.02 * errors[1]
    assert np.abs(fast.astype(int) - exact).mean() < 0.7


@pytest.mark.parametrize("start", [0, 5, 2**63 - 3, 2**64 - 8])
def test_drawing_inside_is_the_same_as_drawing_outside(cifar, start):
    picture = np.random.default_rng(3).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    key = bytes(range(16))
    noisy = draw_many(key, range(start, start + 7), picture.shape, 0.5) + picture
    inside = cifar.clean_drawn(picture, key, start, 7, 0.5)
    assert np.array_equal(inside, cifar.clean(noisy, 0.5))


def briefly(run_with_room):
    return lambda work, has_room: run_with_room(work, has_room, 0.05)


def test_memory_that_others_have_taken_since_is_seen_before_the_batch(monkeypatch):
    """A CPU's system would end the process instead."""
    runtime = Runtime("mine", DnCNN(depth=3, width=16), "0" * 64, device="cpu")
    _, noisy = noisy_batch(2, 512, 512)
    expected = runtime.clean(noisy, 0.25)
    assert runtime.batch_of(512, 512) == 1
    peak = runtime._sizes._peaks[512, 512]
    monkeypatch.setattr(memory, "ALWAYS", peak)
    monkeypatch.setattr(computing, "LOOK_SECONDS", 0.01)
    dip = iter([peak - 1] * 3)
    monkeypatch.setattr(memory, "free_bytes", lambda _: next(dip, peak))
    assert np.array_equal(runtime.clean(noisy, 0.25), expected)  # it has waited
    monkeypatch.setattr(runtime._queue, "run_with_room", briefly(runtime._queue.run_with_room))
    monkeypatch.setattr(memory, "free_bytes", lambda _: peak - 1)
    with pytest.raises(InvalidParameter, match="does not hold one picture of 512×512"):
        runtime.clean(noisy, 0.25)
    monkeypatch.setattr(memory, "free_bytes", lambda _: peak)
    assert np.array_equal(runtime.clean(noisy, 0.25), expected)
