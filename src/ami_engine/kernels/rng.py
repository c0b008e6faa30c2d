"""The one source of chance: every draw is a hash of (seed, stream, market, key, n).

Nothing is consumed and nothing is stored, so one more draw here never shifts another's luck
there. `stream_key` hashes the first four words once; `draw` gives the n-th number under it. The
arithmetic is that of 64-bit words with the overflow masked away; what a shift brings in from the
left is masked too, so that plain integers and signed machine words give the same. A compiled word is
signed: of numbers above 2^63 it has the same bits.

Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64);
Box, Muller, "A note on the generation of random normal deviates", 1958.
"""

import math

from decision_schema.kernel import kernel

MASK64 = 0xFFFFFFFFFFFFFFFF
_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)  # below 2^63: each fits a signed word
_MIX_A = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_B = 0x94D049BB133111EB - (1 << 64)
_LOW_32 = (1 << 32) - 1
_LOW_33 = (1 << 33) - 1
_LOW_34 = (1 << 34) - 1
_LOW_37 = (1 << 37) - 1
_LOW_53 = (1 << 53) - 1
_TWO_53 = 9007199254740992.0
_TWO_32 = 4294967296.0
_TWO_PI = 6.283185307179586

# Streams: one for each use of chance, never reused for another.
SIM_FAIR = 1
SIM_OPENING = 2
SIM_ACTION = 3
MODEL = 4
LATENCY = 5
QUEUE = 6


@kernel
def mix(z: int) -> int:
    """Scramble one 64-bit word, one to one.

    >>> mix(0)
    0
    """
    z = ((z ^ (z >> 30 & _LOW_34)) * _MIX_A) & MASK64
    z = ((z ^ (z >> 27 & _LOW_37)) * _MIX_B) & MASK64
    return z ^ (z >> 31 & _LOW_33)


@kernel
def stream_key(seed: int, stream: int, market: int, key: int) -> int:
    """Hash the four words that name a sequence of draws into one.

    Args:
        seed: Seed of the run.
        stream: One of the stream constants above.
        market: Number of the market.
        key: What the draws are for: the number of a step, an order, an event.

    Each word may be any whole number; only its lowest 64 bits count.

    >>> stream_key(0, SIM_FAIR, 0, 7) == stream_key(0, SIM_ACTION, 0, 7)
    False
    """
    word = mix(seed + _GAMMA & MASK64)
    word = mix((word ^ stream) + _GAMMA & MASK64)
    word = mix((word ^ market) + _GAMMA & MASK64)
    return mix((word ^ key) + _GAMMA & MASK64)


@kernel
def draw(word: int, n: int) -> int:
    """Give the n-th 64-bit number under a stream key, n from 0.

    >>> draw(1234567, 0), draw(1234567, 1)
    (6457827717110365317, 3203168211198807973)
    """
    return mix(word + (n + 1) * _GAMMA & MASK64)


@kernel
def draw_u64(seed: int, stream: int, market: int, key: int, n: int) -> int:
    """Give the n-th 64-bit number of (seed, stream, market, key).

    >>> draw_u64(0, SIM_FAIR, 0, 7, 2) == draw(stream_key(0, SIM_FAIR, 0, 7), 2)
    True
    """
    return draw(stream_key(seed, stream, market, key), n)


@kernel
def uniform(word: int, n: int) -> float:
    """Give the n-th number in [0, 1), with 53 random bits.

    >>> round(uniform(1234567, 0), 6)
    0.35008
    """
    return float(draw(word, n) >> 11 & _LOW_53) / _TWO_53


@kernel
def bernoulli(word: int, n: int, p: float) -> bool:
    """Say whether the n-th toss of a coin that wins with probability `p` wins.

    >>> bernoulli(1234567, 0, 0.36), bernoulli(1234567, 0, 0.35)
    (True, False)
    """
    return uniform(word, n) < p


@kernel
def normal(word: int, n: int) -> float:
    """Give the n-th standard normal number, by Box and Muller on the halves of one draw.

    Its size is at most sqrt(64 ln 2) = 6.66.

    >>> -6.7 < normal(1234567, 0) < 6.7
    True
    """
    bits = draw(word, n)
    radius = float((bits >> 32 & _LOW_32) + 1) / _TWO_32
    angle = float(bits & _LOW_32) / _TWO_32
    return math.sqrt(-2.0 * math.log(radius)) * math.cos(_TWO_PI * angle)


@kernel
def geometric_of(u: float, mean: float) -> int:
    """Turn a uniform number in [0, 1) into a whole number >= 1 with the given mean.

    P(k) = p (1 - p)^(k - 1) with p = 1 / mean; a mean of 1 or less gives 1.

    >>> geometric_of(0.0, 4.0), geometric_of(0.5, 4.0)
    (1, 3)
    """
    if not mean > 1.0 or not 0.0 <= u < 1.0:
        return 1
    return 1 + int(math.log(1.0 - u) / math.log(1.0 - 1.0 / mean))


@kernel
def geometric(word: int, n: int, mean: float) -> int:
    """Give the n-th whole number >= 1 with the given mean, geometrically distributed.

    >>> geometric(1234567, 0, 4.0)
    2
    """
    return geometric_of(uniform(word, n), mean)
