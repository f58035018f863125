"""Random streams by name, all derived from one root seed.

A stream's name is a path of strings and numbers. The last part is its purpose: ``data`` (training
set), ``init`` (initial weights), ``batches`` (points of each training step), ``noise`` (noise of
the loss), ``sampler`` (starting points and noise of chains), ``checkpoint``, ``paths`` and
``split`` (further samples of a model), ``truth`` (the sample that scores are measured against)
and ``search`` (proposals of hyperparameters). Two streams have the same numbers exactly if their
names are equal: the name of ``data`` has no method, so all methods share their data, and it has
the phase, so confirmation data differ from search data.
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
    """Derive the seed of a stream: 63 bits, the same on every machine and in every version.

    The number 1 and the string "1" are different names, and ("ab", "c") is not ("a", "bc").
    """
    path = json.dumps([root, *names], separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8]) >> 1


def generator(root: int, *names: str | int) -> "torch.Generator":
    """Make a torch generator on the CPU at the start of a stream.

    ``torch.Generator.manual_seed`` keeps only 32 bits of a seed on the CPU, so two of the many
    streams of a large study would probably coincide. Here all 63 bits reach the 624 words of the
    Mersenne twister, through ``numpy.random.SeedSequence``.
    """
    import torch

    seed = stream(root, *names)
    twister = torch.Generator().manual_seed(seed)
    state = twister.get_state().numpy()
    if state.size != _STATE_BYTES:
        raise RuntimeError(
            f"the generator of this version of torch has {state.size} bytes of state instead of"
            f" {_STATE_BYTES}: install a supported version of torch"
        )
    words = np.random.SeedSequence(seed).generate_state(624).astype(np.uint64)
    # Only the top bit of this word counts, and the state must not be all zero.
    words[0] = 0x80000000
    state[_WORDS] = words.view(np.uint8)
    return twister.set_state(torch.from_numpy(state))
