"""What can go wrong with a denoiser.

    DenoiserError
    ├── UnknownDenoiser           no denoiser of this name is installed
    ├── UnknownArchitecture       a weights file names an architecture that is not installed
    ├── NotUsable                 its package is broken, or the device cannot be used here
    ├── BrokenWeights             a weights file is damaged, of another shape or not safetensors
    └── TrainingError             training cannot begin or go on
        ├── BadData               the pictures cannot be used; names the file or folder
        ├── BadSurrogate          a surrogate cannot be imported, used or learnt from
        ├── BadCheck              a classifier that only measures cannot be used
        ├── BadPlan               a number of the objective or the plan is out of its range
        ├── BadCheckpoint         what an earlier run left cannot be resumed
        ├── Diverged              the loss or its gradient is no finite number any more
        ├── OutOfMemory           a step needs more memory than there is
        └── CannotSave            a file of the run cannot be written: the disk is full

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
    """A surrogate cannot be imported, used or learnt from."""


class BadCheck(TrainingError):
    """A classifier that only measures cannot be used."""


class BadPlan(TrainingError):
    """A number of the objective or the plan is out of its range."""


class BadCheckpoint(TrainingError):
    """What an earlier run left cannot be resumed."""


class Diverged(TrainingError):
    """The loss or its gradient is no finite number any more."""


class OutOfMemory(TrainingError):
    """A step needs more memory than there is."""


class CannotSave(TrainingError):
    """A file of the run cannot be written."""
