"""Stage `s4 convert`: results in the file formats that other programs expect."""

import csv
import io
from typing import Any

from pipelines.config import ConvertConfig
from pipelines.data.classes import load_classes
from pipelines.data.images import find_images
from pipelines.data.keywords_files import read_keywords
from pipelines.data.notes import Notes
from pipelines.events import Events
from pipelines.files import write_text
from pipelines.scoring.voc_server import pack_for_server


def convert(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Write the file that the settings ask for.

    Args:
        config: See `ConvertConfig`.
        events: Receives progress.

    Returns:
        For `voc-server`: see `pack_for_server`. For `csv`: images, the number of lines, and out.

    Raises:
        InputError: The input is incomplete, damaged or in another format.
    """
    return pack_for_server(config, events) if config.to == "voc-server" else _write_keywords(config, events)


def _write_keywords(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Write the table of keywords as CSV. `--keywords` reads the same table from the file."""
    assert config.images is not None
    classes = load_classes(config.classes)
    notes = Notes(events)
    images = find_images(config.images, notes)
    table = read_keywords(config.keywords, images, config.images, classes, config.split, notes, config.allow_unplaced)
    notes.tell()
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("image", "keywords"))
    rows.writerows((image_id, ";".join(words)) for image_id, words in table.items())
    write_text(config.out, text.getvalue())
    return {"images": len(table), "out": str(config.out)}
