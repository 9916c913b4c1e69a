"""Predictions out: tables, CSV, JSON, TextGrids and pictures, written as they come and gone on with where left off."""

from affectra.predict.outputs.batch import Output, predict_files
from affectra.predict.outputs.choice import open_outputs
from affectra.predict.outputs.folders import PictureFolder, TextGridFolder, names_in
from affectra.predict.outputs.resumable import ResumableFile
from affectra.predict.outputs.stream import FORMATS, Layout, Printer, columns_of, layout_of
from affectra.reports.prediction_picture import PICTURE_SUFFIXES, PictureFile, draw_prediction, write_picture
from affectra.reports.textgrid import textgrid

__all__ = [
    "FORMATS",
    "PICTURE_SUFFIXES",
    "Layout",
    "Output",
    "PictureFile",
    "PictureFolder",
    "Printer",
    "ResumableFile",
    "TextGridFolder",
    "columns_of",
    "draw_prediction",
    "layout_of",
    "names_in",
    "open_outputs",
    "predict_files",
    "textgrid",
    "write_picture",
]
