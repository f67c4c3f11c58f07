"""The colours of label files."""


def voc_palette() -> list[int]:
    """Return the colours of the VOC development kit in one list: 256 x (red, green, blue), 0..255.

    The bits of an index go to the three channels in turn, the lowest bits first. Each channel fills from its highest
    bit, so that neighbouring indices have very different colours.
    """
    palette = []
    for index in range(256):
        for channel in range(3):
            palette.append(sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)))
    return palette
