"""Change bytes at random, in ways that readers of formats stumble over."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Numbers at the ends of their types, in either byte order.
_NUMBERS = [
    number.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, (1 << 8 * size - 1) - 1, 1 << 8 * size - 1, (1 << 8 * size) - 1)
    for order in ("little", "big")
]


def mutated(random_: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Change one of the seeds, once or several times."""
    content = bytearray(random_.choice(seeds))
    for _ in range(random_.choice((1, 1, 2, 4, 8))):
        _change(random_, content, seeds)
    return bytes(content)


def _change(random_: random.Random, content: bytearray, seeds: Sequence[bytes]) -> None:
    # Most of what decides is at the beginning.
    size = len(content)
    position = random_.randrange(size + 1) if random_.random() < 0.5 else random_.randrange(min(size, 1024) + 1)
    length = random_.choice((1, 2, 4, 16, 256))
    kind = random_.randrange(7)
    if kind == 0 and position < size:
        content[position] ^= 1 << random_.randrange(8)
    elif kind == 1:
        number = random_.choice(_NUMBERS)
        content[position : position + len(number)] = number
    elif kind == 2:
        del content[position : position + length]
    elif kind == 3:
        content[position:position] = random_.randbytes(length)
    elif kind == 4:
        content[position:position] = content[position : position + length] * random_.choice((1, 2, 50))
    elif kind == 5:
        other = random_.choice(seeds)
        start = random_.randrange(len(other) + 1)
        content[position : position + length] = other[start : start + length]
    elif random_.random() < 0.3:
        del content[position:]
