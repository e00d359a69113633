"""`python -m llmops.probe.cuda_child`: load CUDA's libraries, and print one line of JSON for each that loads.

In a process of its own, since a broken library may end it. Nothing is computed and no card is opened: each is only asked
for its version, in the number its header describes.
"""

import ctypes
import json
import sys

LIBRARIES = (
    ("cudnn", ("libcudnn.so.9", "libcudnn.so.8"), "cudnnGetVersion"),
    ("nccl", ("libnccl.so.2",), "ncclGetVersion"),
    ("cublas", ("libcublas.so.13", "libcublas.so.12", "libcublas.so.11"), None),
    ("cudart", ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0"), "cudaRuntimeGetVersion"),
)


def main() -> int:
    """Print the lines."""
    for name, files, function in LIBRARIES:
        for file in files:
            try:
                library = ctypes.CDLL(file)
            except OSError:
                continue
            line = {"name": name, "path": file, "version": version(library, name, function)}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            break
    return 0


def version(library: ctypes.CDLL, name: str, function: str | None) -> str | None:
    """As the library says it itself; None where it has no such function."""
    call = getattr(library, function, None) if function is not None else None
    if call is None:
        return None
    if name == "cudnn":
        call.restype = ctypes.c_size_t
        return words("cudnn", int(call()))
    number = ctypes.c_int(0)
    return words(name, number.value) if call(ctypes.byref(number)) == 0 else None


def words(name: str, number: int) -> str | None:
    """`9.10.2` of cuDNN's 91002 (8.9.7 of 8907), `2.27.5` of NCCL's 22705, `13.0` of CUDA's 13000."""
    if number <= 0:
        return None
    if name == "cudart":
        return f"{number // 1000}.{number % 1000 // 10}"
    if name == "cudnn" and number < 10000:
        return f"{number // 1000}.{number % 1000 // 100}.{number % 100}"
    return f"{number // 10000}.{number % 10000 // 100}.{number % 100}"


if __name__ == "__main__":
    sys.exit(main())
