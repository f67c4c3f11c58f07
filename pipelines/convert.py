"""Stage `s4 convert`: results and annotations in the file formats that other programs expect."""

from typing import Any

from pipelines.config import ConvertConfig
from pipelines.config.outputs import alone
from pipelines.data.keyword_csv import keyword_csv
from pipelines.data.keyworded_pictures import KeywordedPictures
from pipelines.data.notes import Notes
from pipelines.events import Events
from pipelines.files import write_text
from pipelines.formats.conversion import convert_annotations
from pipelines.scoring.voc_server import pack_for_server


@alone
def convert(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Write the file that the settings ask for.

    Args:
        config: See `ConvertConfig`.
        events: Receives progress.

    Returns:
        With `source`: see `pipelines.formats.conversion.convert_annotations`. For `voc-server`: see `pack_for_server`.
        For `csv`: images, the number of lines, and out.

    Raises:
        InputError: The input is incomplete, damaged or in another format.
    """
    if config.source is not None:
        return convert_annotations(config, events)
    return pack_for_server(config, events) if config.to == "voc-server" else _write_keywords(config, events)


def _write_keywords(config: ConvertConfig, events: Events) -> dict[str, Any]:
    """Write the table of keywords as CSV. `--keywords` reads the same table from the file."""
    assert config.images is not None
    notes = Notes(events)
    pictures = KeywordedPictures(config.images, config.keywords, config.split, notes)
    _, table = pictures.read(config.classes, config.allow_unplaced)
    notes.tell()
    write_text(config.out, keyword_csv(table))
    return {"images": len(table), "out": str(config.out)}
