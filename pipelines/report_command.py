"""Command `s4 report`: the page of one result, or one page that compares several.

The module is not called `report`: the part of that name draws what all pages show.
"""

from typing import Any

from pipelines.config.outputs import alone
from pipelines.config.report import ReportConfig
from pipelines.events import Events
from pipelines.pages.comparison import write_comparison
from pipelines.pages.page import write_page
from pipelines.pages.read import read_result


@alone
def report(config: ReportConfig, events: Events) -> dict[str, Any]:
    """Write the page of a result, or of several.

    Args:
        config: Settings of `s4 report`.
        events: Receives a line for each result that is read.

    Returns:
        report: The page.
        results: Number of results.
        pictures: Number of pictures; of several results, number of pictures that are shown beside each other.
        settings, figures: Of several results, numbers of settings that differ and of figures.

    Raises:
        InputError: A path holds no result [report-unknown], or a damaged one.
        MachineError: The page cannot be written.
    """
    config = config.located(events.info)
    results = []
    for path in config.results:
        result = read_result(path, config.images or ())
        events.info(f"{path}: {result.kind}")
        results.append(result)
    page = {"report": str(config.out), "results": len(results)}
    if len(results) > 1:
        return {**page, **write_comparison(config.out, results)}
    return {**page, "pictures": write_page(config.out, results[0])}
