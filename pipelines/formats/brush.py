"""Run lengths of Label Studio's brush: a stream of bits, as the package `rle-pack` of thi.ng writes it.

The stream holds the number of values (32 bits), the bits of a value less one (5), and four sizes of lengths less one (4
each). Then come groups: one bit that tells a run from single values, two bits that choose a size, the length less one,
and the value of the run or every single value. The values are red, green, blue and alpha of each pixel in turn, row by
row; alpha alone counts.
"""

import numpy as np
from numpy.typing import NDArray

_SIZES = (3, 4, 8, 16)  # bits of a length, as Label Studio's own encoder chooses them
_CHANNELS = 4
_HEAD = 32 + 5 + 4 * 4


def encode_brush(mask: NDArray[np.bool_]) -> list[int]:
    """Return the bytes of a mask [H, W]."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *ends.tolist(), flat.size]) * _CHANNELS
    values = flat[[0, *ends.tolist()]]
    bits = [f"{flat.size * _CHANNELS:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for run, value in zip(runs.tolist(), values.tolist(), strict=True):
        shown = "11111111" if value else "00000000"
        while run:
            length = min(run, 1 << _SIZES[-1])
            choice = next(number for number, size in enumerate(_SIZES) if length <= 1 << size)
            bits.append(f"1{choice:02b}{length - 1:0{_SIZES[choice]}b}{shown}")
            run -= length
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8, "big"))


def decode_brush(content: list[int], height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask [H, W] of bytes.

    Raises:
        ValueError: The bytes are damaged, or those of a mask of another size.
    """
    if not all(type(byte) is int and 0 <= byte < 256 for byte in content):
        raise ValueError("the run lengths are no bytes")
    bits = np.unpackbits(np.array(content, np.uint8))
    if len(bits) < _HEAD or _number(bits[:32]) != height * width * _CHANNELS:
        raise ValueError(f"the run lengths are not those of a mask of {width}x{height}")
    values = _values(bits, height * width * _CHANNELS)
    return np.asarray(values.reshape(height, width, _CHANNELS)[:, :, -1] > 0)


def _values(bits: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    word = _number(bits[32:37]) + 1
    sizes = [_number(bits[start : start + 4]) + 1 for start in range(37, _HEAD, 4)]
    values, place, done = np.zeros(count, np.uint8), _HEAD, 0
    while done < count:
        if place + 3 > len(bits):
            raise ValueError("the run lengths end too early")
        is_run, size = bits[place], sizes[_number(bits[place + 1 : place + 3])]
        place += 3
        length = min(_number(bits[place : place + size]) + 1, count - done)
        place += size
        stored = 1 if is_run else length
        if place + stored * word > len(bits):
            raise ValueError("the run lengths end too early")
        # Whether a value is more than 0 is all that matters.
        values[done : done + length] = bits[place : place + stored * word].reshape(stored, word).any(axis=1)
        place += stored * word
        done += length
    return values


def _number(bits: NDArray[np.uint8]) -> int:
    return int("".join(map(str, bits.tolist())) or "0", 2)
