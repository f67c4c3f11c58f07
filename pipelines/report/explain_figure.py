"""The figure of `s4 explain`: features before and after masking (paper Fig. 4) and gradient maps (Fig. 6)."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from pipelines.report.charts import any_script, chart_text

Map = NDArray[np.floating[Any]]

_BOX, _RING = "#ff9f1c", "#3a9bff"
_INK, _GREY = "#212529", "#5c636a"
# Black is zero, so that a map can be added as light to a dimmed picture.
_GRADIENT, _FEATURES = colormaps["magma"], colormaps["RdBu_r"]
_DIMMED = 0.42
# Gradients fall off by orders of magnitude. A scale by the square root, up to a quantile, makes small ones visible.
_GAMMA, _TOP = 0.5, 0.998
_MOST_ROWS = 3
_LONGEST = 160  # letters of a text
_FOOTNOTE = (
    "H: the features right before RoIMasking. L: the mask loss of the framed instance alone, in its ground-truth box; "
    "every convolution is a constant.\n"
    "Ring: its share of the gradient. Dashed: the loss region, the cells in which L is computed. "
    "The maps of an instance share one scale."
)

# Layout in pixels of the file.
_WIDTH, _MARGIN, _GAP, _BAR = 1200, 14, 16, 104
_HEAD, _CAPTION, _FOOT = 34, 46, 40
_PANEL = (_WIDTH - _BAR - _MARGIN - 3 * _GAP) // 3
_HIGHEST = 1.2  # height of a panel at most, in its widths
_DPI = 100
_COLORS = (256, 192, 128, 96, 64)
_LARGEST_FILE = 250_000


@dataclass(frozen=True, eq=False)
class MaskKind:
    """One column of gradient maps.

    Attributes:
        name: Kind of the masks: binary, expanded or ternary.
        origin: Which network it is, and whether it was trained with these masks.
        maps: [N, h, w] gradient map of each instance.
        zones: [N, h, w] +1 in the box, -1 in the ring, 0 elsewhere.
        masks: [N, h, w] factors of the features.
        region: [N, h, w] 0 or 1, the cells that count in the loss.
        ring: [N] share of the gradient that lies in the ring, 0..1; nan where there is no gradient.
        ring_outside_loss: [N] share of the gradient in cells of the ring that do not count in the loss.
        features: [h, w] features before masking, summed over channels.
    """

    name: str
    origin: str
    maps: Map
    zones: Map
    masks: Map
    region: Map
    ring: Map
    ring_outside_loss: Map
    features: Map


def explain_figure(picture: NDArray[np.uint8], title: str, subtitle: str, kinds: Sequence[MaskKind]) -> bytes:
    """Draw features in the first row, and below a row of gradient maps for each of the largest instances.

    Args:
        picture: [H, W, 3] uint8 RGB.
        title: Title above the figure.
        subtitle: Text beside the title: how the networks were trained.
        kinds: Three columns; the features are those of the last one. The gradient maps of a row share one scale.

    Returns:
        A PNG file with a palette, 1200 pixels wide.
    """
    last = kinds[-1]
    area = (last.zones > 0).sum(axis=(1, 2))
    shown = [int(instance) for instance in np.argsort(-area, kind="stable")[:_MOST_ROWS]]
    aspect = min(picture.shape[0] / picture.shape[1], _HIGHEST)
    canvas = _Canvas(title, subtitle, len(shown), round(_PANEL * aspect))
    _draw_features(canvas, picture, last, shown)
    for row, index in enumerate(shown, start=1):
        norm = _gradient_scale([kind.maps[index] for kind in kinds])
        canvas.bar(row, norm, _GRADIENT, "Σ |∂L/∂H| over channels\n(loss per unit of feature)")
        for column, kind in enumerate(kinds):
            axes = canvas.panel(row, column, *_texts(kind, index, f"box {row}, " if len(shown) > 1 else ""))
            axes.imshow(_over(picture, kind.maps[index], norm), interpolation="antialiased")
            _draw_zone(axes, kind.zones[index], picture)
            _draw_outline(axes, kind.region[index] > 0, picture, "white", linewidth=0.9, linestyle=(0, (4, 3)))
    return _png(canvas.figure)


def _draw_features(canvas: "_Canvas", picture: NDArray[np.uint8], kind: MaskKind, shown: Sequence[int]) -> None:
    """Draw the picture with its boxes and rings, and the features before and after masking."""
    first, several = shown[0], len(shown) > 1
    axes = canvas.panel(0, 0, "picture", "ground-truth box (orange) and its ring (blue), in cells")
    axes.imshow(picture, interpolation="antialiased")
    for number, index in enumerate(shown, start=1):
        _draw_zone(axes, kind.zones[index], picture, str(number) if several else "")
    peak = float(kind.features.max()) or 1.0
    norm = Normalize(-peak, peak)
    extent = (0, picture.shape[1], picture.shape[0], 0)
    before = ("features H before masking", "never negative: behind a ReLU")
    after = (
        f"H after {kind.name} masking" + (" by box 1" if several else ""),
        "sign flipped in the ring, 0 outside of it",
    )
    panels = ((before, kind.features), (after, kind.features * kind.masks[first]))
    for column, (texts, values) in enumerate(panels, start=1):
        axes = canvas.panel(0, column, *texts)
        axes.imshow(values, cmap=_FEATURES, norm=norm, extent=extent, interpolation="nearest")
        _draw_zone(axes, kind.zones[first], picture)
    canvas.bar(0, norm, _FEATURES, "Σ H over channels\n(units of feature)")


def _texts(kind: MaskKind, index: int, prefix: str) -> tuple[str, str]:
    """Return heading and note of a gradient map: where the gradient lies, and of which network it is."""
    share = "no gradient" if np.isnan(kind.ring[index]) else f"ring {100 * kind.ring[index]:.0f} %"
    heading = f"{prefix}{kind.name} masks, {share}"
    if not kind.masks[index][kind.zones[index] < 0].any():
        return heading, f"{kind.origin}; exactly 0 there"
    if kind.ring_outside_loss[index] < kind.ring[index]:
        return heading, f"{kind.origin}; {100 * kind.ring_outside_loss[index]:.0f} % outside the loss region"
    return heading, kind.origin


def _gradient_scale(maps: Sequence[Map]) -> PowerNorm:
    """Return one scale for the maps of an instance, up to nearly the largest value.

    At the largest value itself, a single cell could darken all others.
    """
    values = np.concatenate([of_kind[of_kind > 0] for of_kind in maps])
    return PowerNorm(_GAMMA, vmin=0, vmax=float(np.quantile(values, _TOP)) if len(values) else 1.0, clip=True)


def _draw_zone(axes: Axes, zone: Map, picture: NDArray[np.uint8], tag: str = "") -> None:
    """Draw the box and the outer side of the ring, along the borders of the cells that they touch."""
    dark = [patheffects.withStroke(linewidth=3.2, foreground="#000000a0")]
    _draw_outline(axes, zone != 0, picture, _RING, linewidth=1.8, path_effects=dark)
    left, top = _draw_outline(axes, zone > 0, picture, _BOX, linewidth=1.8, path_effects=dark)
    if tag:
        label = {"facecolor": _BOX, "edgecolor": "none", "pad": 2.0}
        axes.text(left, top, f" {tag} ", fontsize=9, weight="bold", va="top", bbox=label, color=_INK)


def _draw_outline(
    axes: Axes, cells: NDArray[np.bool_], picture: NDArray[np.uint8], color: str, **style: Any
) -> tuple[float, float]:
    """Draw the rectangle around the true cells [h, w]; return its left and top in pixels of the picture."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    if not len(rows):
        return 0.0, 0.0
    down, right = picture.shape[0] / cells.shape[0], picture.shape[1] / cells.shape[1]
    left, top = columns[0] * right, rows[0] * down
    width, height = (columns[-1] + 1) * right - left, (rows[-1] + 1) * down - top
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=color, clip_on=False, **style))
    return left, top


def _over(picture: NDArray[np.uint8], values: Map, norm: Normalize) -> NDArray[np.float64]:
    """Return a map [h, w] as light added to the dimmed grey picture: [H, W, 3] in 0..1."""
    grey = _DIMMED * (picture @ np.array([0.299, 0.587, 0.114]))[..., None] / 255
    rows = ((np.arange(picture.shape[0]) + 0.5) * values.shape[0] / picture.shape[0]).astype(int)
    columns = ((np.arange(picture.shape[1]) + 0.5) * values.shape[1] / picture.shape[1]).astype(int)
    light = _GRADIENT(np.asarray(norm(values)))[rows][:, columns, :3]
    return np.asarray(1 - (1 - grey) * (1 - light))


class _Canvas:
    """A figure laid out in pixels: a row of features, rows of gradient maps, colour bars on the right."""

    def __init__(self, title: str, subtitle: str, gradient_rows: int, panel_height: int) -> None:
        self._panel_height = panel_height
        self._height = _HEAD + (1 + gradient_rows) * (_CAPTION + panel_height + _GAP) + _FOOT
        self.figure = Figure(figsize=(_WIDTH / _DPI, self._height / _DPI), dpi=_DPI)
        FigureCanvasAgg(self.figure)
        self._text(_MARGIN, 26, chart_text(title, _LONGEST), fontsize=13, weight="bold", color=_INK)
        self._text(_WIDTH - _MARGIN, 26, chart_text(subtitle, _LONGEST), fontsize=10, color=_GREY, ha="right")
        self._text(_MARGIN, self._height - 12, _FOOTNOTE, fontsize=9, color=_GREY)

    def panel(self, row: int, column: int, heading: str, note: str) -> Axes:
        """Add axes without ticks, under a heading and a note."""
        left, top = _MARGIN + column * (_PANEL + _GAP), self._top(row)
        axes = self._axes(left, top, _PANEL, self._panel_height)
        axes.set_axis_off()
        axes.set_anchor("NW")
        self._text(left, top - 24, chart_text(heading, _LONGEST), fontsize=10, weight="bold", color=_INK)
        self._text(left, top - 8, chart_text(note, _LONGEST), fontsize=9, color=_GREY)
        return axes

    def bar(self, row: int, norm: Normalize, colors: Colormap, label: str) -> None:
        """Add a colour bar beside a row."""
        axes = self._axes(_WIDTH - _BAR, self._top(row), 14, self._panel_height)
        bar = self.figure.colorbar(ScalarMappable(norm, colors), cax=axes, ticks=MaxNLocator(5))
        bar.outline.set_visible(False)
        bar.set_label(label, fontsize=9, color=_GREY)
        bar.ax.tick_params(labelsize=8, colors=_GREY)

    def _text(self, left: float, base: float, text: str, **style: Any) -> None:
        self.figure.text(left / _WIDTH, 1 - base / self._height, text, **style)

    def _top(self, row: int) -> int:
        return _HEAD + _CAPTION + row * (_CAPTION + self._panel_height + _GAP)

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        bottom = self._height - top - height
        place = (left / _WIDTH, bottom / self._height, width / _WIDTH, height / self._height)
        return self.figure.add_axes(place)


def _png(figure: Figure) -> bytes:
    """Return the figure as PNG, with as many colours as a file of the largest allowed size can have."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    with any_script():
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])  # type: ignore[no-untyped-call]
    # Every third pixel shows the colours that occur; to choose colours from all pixels takes seconds.
    sample = pixels.resize((pixels.width // 3, pixels.height // 3), Image.Resampling.NEAREST)
    for colors in _COLORS:
        palette = sample.quantize(colors, Image.Quantize.MAXCOVERAGE, kmeans=1)
        buffer = io.BytesIO()
        pixels.quantize(palette=palette, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
        if buffer.tell() <= _LARGEST_FILE:
            break
    return buffer.getvalue()
