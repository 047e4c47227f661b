"""Pictures: read, enlarge, write, and measure how well that went; `upscale_image` is the whole way."""

from espcn_demo.image.enlarge import ImageReport, upscale_image, upscale_picture
from espcn_demo.image.picture import Metadata, Picture
from espcn_demo.image.reading import READABLE, read_picture
from espcn_demo.image.writing import WRITABLE, write_picture
from espcn_demo.measure import Measurement, Score, difference_from_bicubic, measure_picture, measure_plane

__all__ = [
    "READABLE",
    "WRITABLE",
    "ImageReport",
    "Measurement",
    "Metadata",
    "Picture",
    "Score",
    "difference_from_bicubic",
    "measure_picture",
    "measure_plane",
    "read_picture",
    "upscale_image",
    "upscale_picture",
    "write_picture",
]
