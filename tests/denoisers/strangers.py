"""Somebody else's architectures, which come in by the entry points of packages of their own."""

CODE = '''
import torch
from torch import nn


class Tiny(nn.Module):
    """One convolution; as some real ones do, it asks for numbers while it is built."""

    architecture = "tiny"

    def __init__(self, size=3):
        super().__init__()
        self.arguments = {"size": size}
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]
        self.conv = nn.Conv2d(3, 3, size, padding=size // 2)
        self.register_buffer("index", torch.arange(4))

    def forward(self, noisy, sigma):
        return noisy - sigma.view(-1, 1, 1, 1) * self.conv(noisy)


class Half(Tiny):
    architecture = "half"

    def __init__(self):
        super().__init__()
        self.arguments = {}
        self.half()


class Liar(Tiny):
    architecture = "another"


class Tied(nn.Module):
    """The same weights twice."""

    architecture = "tied"

    def __init__(self):
        super().__init__()
        self.arguments = {}
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.second = self.first

    def forward(self, noisy, sigma):
        return self.second(self.first(noisy))


class Shy(Tiny):
    architecture = "shy"

    def load_state_dict(self, *arguments, **options):
        raise KeyError("a secret of the inside")


class Fussy(Tiny):
    architecture = "fussy"

    def __init__(self, size=3):
        raise ZeroDivisionError("a secret of the inside")


class Shuffled(Tiny):
    """Its order is drawn when it is built, and kept."""

    architecture = "shuffled"

    def __init__(self):
        super().__init__()
        self.arguments = {}
        self.register_buffer("order", torch.randperm(3))

    def forward(self, noisy, sigma):
        return super().forward(noisy, sigma)[:, self.order]


class Forgets(Shuffled):
    """And is not kept."""

    architecture = "forgets"

    def __init__(self):
        super().__init__()
        self.register_buffer("order", torch.randperm(1000)[:3] % 3, persistent=False)
        self.register_buffer("shade", torch.rand(3, 1, 1), persistent=False)

    def forward(self, noisy, sigma):
        return super().forward(noisy, sigma) * self.shade


class Late(Forgets):
    """Nor can it be seen before it has learnt: it begins with no noise found."""

    architecture = "late"

    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, noisy, sigma):
        return noisy - self.conv(noisy) * self.shade


class Complex(Tiny):
    architecture = "complex"

    def __init__(self):
        super().__init__()
        self.arguments = {}
        self.phase = nn.Parameter(torch.ones(3, 1, 1, dtype=torch.complex64))

    def forward(self, noisy, sigma):
        return super().forward(noisy, sigma) * self.phase.real


class Extra(Tiny):
    architecture = "extra"

    def __init__(self):
        super().__init__()
        self.arguments = {}

    def get_extra_state(self):
        return {"answer": 42}

    def set_extra_state(self, state):
        pass


class Normed(Tiny):
    """With weights that are computed from others, in the older way of torch."""

    architecture = "normed"

    def __init__(self):
        super().__init__()
        self.arguments = {}
        self.conv = nn.utils.weight_norm(self.conv)


def nothing():
    return "no network"
'''
NAMES = {
    "tiny": "Tiny",
    "half": "Half",
    "liar": "Liar",
    "tied": "Tied",
    "shy": "Shy",
    "fussy": "Fussy",
    "shuffled": "Shuffled",
    "forgets": "Forgets",
    "late": "Late",
    "complex": "Complex",
    "extra": "Extra",
    "normed": "Normed",
    "nothing": "nothing",
    "absent": "Absent",
}


def install(folder, package, doors):
    """Write a package's metadata: `doors` are its architectures, name → "module:thing"."""
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {thing}" for name, thing in doors.items()]
    (about / "entry_points.txt").write_text("\n".join(["[surety.architectures]", *lines, ""]))
    return folder


def install_all(folder):
    """Write the package with all of them; return the folder, for sys.path."""
    install(folder, "strange", {name: f"strange_nets:{thing}" for name, thing in NAMES.items()})
    (folder / "strange_nets.py").write_text(CODE)
    return folder
