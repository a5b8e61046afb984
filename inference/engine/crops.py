"""From an image to crops and back to one feature map (upstream `image_crops.py`, `vision.py`)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional as F

from inference.engine.config import VisionConfig

Tiling = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Crops:
    """Crops of one image.

    `pixels` is (1 + rows * cols, crop, crop, 3) uint8: the whole image first, then the tiles in
    row-major order. Where the tiling is (1, 1) the tile equals the whole image and is left out.
    """

    pixels: npt.NDArray[np.uint8]
    tiling: Tiling


def select_tiling(height: int, width: int, crop: int, max_crops: int) -> Tiling:
    """(rows, cols) of tiles for an area of `height` × `width` pixels, at most `max_crops` tiles.

    `crop` is the window a tile adds, without margins; `height` and `width` are likewise the
    image's size less the margins.
    """
    if height <= crop or width <= crop:
        return (1, 1)
    min_rows, min_cols = math.ceil(height / crop), math.ceil(width / crop)
    if min_rows * min_cols > max_crops:
        ratio = math.sqrt(max_crops / (min_rows * min_cols))
        return (max(1, math.floor(min_rows * ratio)), max(1, math.floor(min_cols * ratio)))
    rows = max(math.floor(math.sqrt(max_crops * height / width)), min_rows)
    cols = max(math.floor(math.sqrt(max_crops * width / height)), min_cols)
    if rows * cols > max_crops:
        if cols > rows:
            cols = math.floor(max_crops / rows)
        else:
            rows = math.floor(max_crops / cols)
    return (max(1, rows), max(1, cols))


def image_tiling(size: tuple[int, int], config: VisionConfig) -> Tiling:
    """(rows, cols) for an image of `size` = (width, height) pixels."""
    margins = 2 * config.overlap_margin * config.enc_patch_size
    window = (config.grid - 2 * config.overlap_margin) * config.enc_patch_size
    width, height = size
    return select_tiling(height - margins, width - margins, window, config.max_crops)


def make_crops(image: Image.Image, config: VisionConfig) -> Crops:
    """Cut an image into its global crop and overlapping tiles (PIL's LANCZOS resampler)."""
    rgb = image.convert("RGB")
    side, patch, margin = config.crop_size, config.enc_patch_size, config.overlap_margin
    window = (config.grid - 2 * margin) * patch
    tiling = rows, cols = image_tiling(rgb.size, config)
    crops = [np.asarray(rgb.resize((side, side), Image.Resampling.LANCZOS))]
    if tiling != (1, 1):
        border = 2 * margin * patch
        whole = np.asarray(
            rgb.resize((cols * window + border, rows * window + border), Image.Resampling.LANCZOS)
        )
        crops += [
            whole[i * window : i * window + side, j * window : j * window + side]
            for i in range(rows)
            for j in range(cols)
        ]
    return Crops(np.stack(crops), tiling)


def normalise(
    pixels: npt.NDArray[np.uint8], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """(N, H, W, 3) uint8 → (N, 3, H, W) in -1..1, every step rounded in `dtype` as upstream does."""
    tensor = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).to(dtype)
    return tensor.div_(255).sub_(0.5).div_(0.5)


def stitch(features: torch.Tensor, tiling: Tiling, margin: int) -> torch.Tensor:
    """Join tiles' feature maps into one, dropping `margin` rows and columns at inner seams.

    Args:
        features: (rows * cols, grid, grid, C), row-major.
        tiling: (rows, cols).
        margin: overlap in patches.

    Returns:
        (rows * (grid - 2 margin) + 2 margin, cols * (grid - 2 margin) + 2 margin, C).
    """
    rows, cols = tiling
    grid = features.shape[1]
    lines = []
    for i in range(rows):
        top, bottom = (0 if i == 0 else margin), (grid if i == rows - 1 else grid - margin)
        tiles = []
        for j in range(cols):
            left, right = (0 if j == 0 else margin), (grid if j == cols - 1 else grid - margin)
            tiles.append(features[i * cols + j, top:bottom, left:right])
        lines.append(torch.cat(tiles, dim=1))
    return torch.cat(lines, dim=0)


def reconstruct(features: torch.Tensor, tiling: Tiling, config: VisionConfig) -> torch.Tensor:
    """(rows * cols, tokens, C) features of the tiles → (tokens, C) of the whole image."""
    grid = config.grid
    stitched = stitch(features.unflatten(1, (grid, grid)), tiling, config.overlap_margin)
    pooled = F.adaptive_avg_pool2d(stitched.permute(2, 0, 1), (grid, grid))
    return pooled.flatten(1).T
