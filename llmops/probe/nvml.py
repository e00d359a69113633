"""Questions to NVML, one at a time: what the library lacks, refuses or answers with nonsense is an `Unknown` of its own."""

import ctypes
from types import ModuleType
from typing import Any

from llmops.domain.reading import Known, Unknown

NOT_SUPPORTED = "Not Supported"
NO_FUNCTION = "Function Not Found"
NOT_FOUND = "Not Found"
"""pynvml's words for NVML's answers 3, 13 and 6."""

LOST = (15, 16)
"""NVML's answers of a card that is there but does not work: it is lost, or waits for a reset (nvml.h)."""

UNKNOWN_ERROR = 999
NO_NUMBER = (1 << 32) - 1
"""What several functions write where there is no number (NVML_VALUE_NOT_AVAILABLE)."""


def code(error: BaseException) -> int:
    """NVML's number of an error."""
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else -1


class Nvml:
    """The library, opened."""

    def __init__(self, pynvml: ModuleType) -> None:
        self.pynvml = pynvml
        self._lost: str | None = None

    def lost(self) -> str | None:
        """The word of a card that said it no longer works, since this was last asked."""
        word, self._lost = self._lost, None
        return word

    def ask(self, function: str, *arguments: object) -> Known[Any] | Unknown:
        """One question, by the name of pynvml's function."""
        call = getattr(self.pynvml, function, None)
        if call is None:  # pynvml itself is older than the function
            return Unknown(NO_FUNCTION)
        mismatch = getattr(self.pynvml, "NVMLLibraryMismatchError", self.pynvml.NVMLError)
        try:
            return Known(call(*arguments))
        except self.pynvml.NVMLError as error:
            if code(error) in LOST:
                self._lost = str(error)
            return Unknown(str(error))
        except mismatch:  # what pynvml makes of a function that the library lacks, where it has several versions
            return Unknown(NO_FUNCTION)
        except (UnicodeDecodeError, ValueError, TypeError, AttributeError, ctypes.ArgumentError) as error:
            return Unknown(f"{type(error).__name__}: {error}")

    def whole(self, function: str, *arguments: object) -> Known[int] | Unknown:
        """A whole number that is not negative, in the unit of the function."""
        reading = self.ask(function, *arguments)
        if isinstance(reading, Unknown):
            return reading
        number = reading.value
        if not isinstance(number, int) or not 0 <= number < 1 << 63 or number == NO_NUMBER:
            return Unknown(f"NVML's answer is no number: {number!s:.40}")
        return Known(int(number))

    def text(self, function: str, *arguments: object) -> Known[str] | Unknown:
        """A text; old versions of nvidia-ml-py give bytes."""
        reading = self.ask(function, *arguments)
        if isinstance(reading, Unknown):
            return reading
        value = reading.value
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        return Known(text) if text.strip() else Unknown("NVML's answer is empty")

    def switch(self, function: str, *arguments: object) -> Known[bool] | Unknown:
        """On or off."""
        reading = self.whole(function, *arguments)
        return Known(bool(reading.value)) if isinstance(reading, Known) else reading

    def newer(self, new: str, old: str, *arguments: object) -> Known[int] | Unknown:
        """A number by a function's newer name, else its older one: early drivers lack the first, late ones the second."""
        reading = self.whole(new, *arguments)
        return reading if isinstance(reading, Known) else self.whole(old, *arguments)
