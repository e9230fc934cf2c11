"""The router's error tree, all of it typed so that callers choose what to catch by name.

    RouterError
    ├── ArtifactError        the trained file is missing, torn, or made for another format or feature version
    ├── CalibrationError     no setting meets what was asked for on the given rows
    ├── DatasetError         a training or evaluation row is not what the format says
    ├── EncoderError         a server of embeddings, asked while something is fitted or judged, does not answer
    ├── NoExpertsError       nothing to rank: the catalogue is empty
    └── UnknownExpertError   a pin names an expert that is not in the catalogue

No message holds a word of a user's text.
"""


class RouterError(Exception):
    """Anything this package refuses to do."""


class ArtifactError(RouterError):
    """The artefact cannot be used; the message says which check failed."""


class CalibrationError(RouterError):
    """What was asked for cannot be had on these rows; the message says what."""


class DatasetError(RouterError):
    """A data row breaks the format; the message names file and line, never the text."""


class EncoderError(RouterError):
    """A server of embeddings refuses, cannot be reached, or answers in another form."""


class NoExpertsError(RouterError):
    """There is no expert to route to."""


class UnknownExpertError(RouterError):
    """The pinned name is not among the experts."""
