"""Random streams by name, all derived from one root seed.

A stream's name is a path of strings and numbers. The last one says what the stream is for, and
these words are used for it: ``data`` (training set), ``init`` (initial weights), ``batches``
(which points a step sees), ``noise`` (what an objective draws), ``sampler`` (Langevin noise and
starting points), ``truth`` (the sample that scores are measured against) and ``search`` (the
proposals of hyperparameters). Two streams share their numbers exactly if their names are equal:
leaving the method out of the name of ``data`` gives all methods the same data, and having the
phase in it keeps confirmation apart from search.
"""

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

_STATE_BYTES = 5056
_WORDS = slice(24, 24 + 624 * 8)


def stream(root: int, *names: str | int) -> int:
    """Seed of a named stream: 63 bits, the same on every machine and in every version.

    The number 1 and the string "1" are different names, and ("ab", "c") is not ("a", "bc").
    """
    path = json.dumps([root, *names], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) >> 1


def generator(root: int, *names: str | int) -> "torch.Generator":
    """Torch generator on the CPU at the start of a named stream.

    ``torch.Generator.manual_seed`` keeps only 32 bits of a seed on the CPU, so that among the
    many streams of a large study two would likely be the same one. Here all 63 bits reach the
    624 words of the Mersenne twister, through ``numpy.random.SeedSequence``.
    """
    import torch

    seed = stream(root, *names)
    made = torch.Generator().manual_seed(seed)
    state = made.get_state().numpy()
    if state.size != _STATE_BYTES:
        raise RuntimeError(
            f"this version of torch keeps {state.size} bytes of generator state, not"
            f" {_STATE_BYTES}: streams cannot be started in it"
        )
    words = np.random.SeedSequence(seed).generate_state(624).astype(np.uint64)
    words[0] = 0x80000000  # of this word only the top bit counts, and not all bits may be zero
    state[_WORDS] = words.view(np.uint8)
    return made.set_state(torch.from_numpy(state))
