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
