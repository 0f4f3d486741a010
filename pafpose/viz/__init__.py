"""Pictures of people, fields and masks."""

from pafpose.viz.draw import COLOURS, draw_people
from pafpose.viz.fields import arrows_overlay, hatch, heatmaps_overlay, map_overlay, pafs_overlay
from pafpose.viz.panels import training_panels
from pafpose.viz.sheets import Panel, figure, save_figure, save_picture, tile

__all__ = [
    "COLOURS",
    "Panel",
    "arrows_overlay",
    "draw_people",
    "figure",
    "hatch",
    "heatmaps_overlay",
    "map_overlay",
    "pafs_overlay",
    "save_figure",
    "save_picture",
    "tile",
    "training_panels",
]
