"""What an experiment says, for a page and for a letter: both are made from one ``ReadOut``."""

from recsys.reports.experiment.evidence import Evidence
from recsys.reports.experiment.letter import render_letter, render_markdown
from recsys.reports.experiment.page import render_list, render_message, render_page
from recsys.reports.experiment.readout import ReadOut, read

__all__ = [
    "Evidence",
    "ReadOut",
    "read",
    "render_letter",
    "render_list",
    "render_markdown",
    "render_message",
    "render_page",
]
