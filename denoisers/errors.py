"""What can go wrong with a denoiser.

    DenoiserError
    ├── UnknownDenoiser           no denoiser of this name is installed
    ├── UnknownArchitecture       a weights file names an architecture that is not installed
    ├── NotUsable                 its package is broken, or the device cannot be used here
    ├── BrokenWeights             a weights file is damaged, of another shape or not safetensors
    └── TrainingError             training cannot begin or go on
        ├── BadData               the pictures cannot be used; names the file or folder
        ├── BadSurrogate          a surrogate cannot be imported, or is no torch module
        └── BadCheckpoint         what an earlier run left cannot be resumed

Messages say how to mend it and are safe to show to a client.
"""


class DenoiserError(Exception):
    """Root of everything that this package raises on purpose."""


class UnknownDenoiser(DenoiserError):
    """No denoiser of this name is installed."""


class UnknownArchitecture(DenoiserError):
    """A weights file names an architecture that is not installed."""


class NotUsable(DenoiserError):
    """Its package is broken, or the device cannot be used here."""


class BrokenWeights(DenoiserError):
    """A weights file is damaged, of another shape or not safetensors."""


class TrainingError(DenoiserError):
    """Training cannot begin or go on."""


class BadData(TrainingError):
    """The pictures cannot be used."""


class BadSurrogate(TrainingError):
    """A surrogate cannot be imported, or is no torch module."""


class BadCheckpoint(TrainingError):
    """What an earlier run left cannot be resumed."""
