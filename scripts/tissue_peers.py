"""The rules by which two other tools find tissue without a network, to compare with.

Written anew after what they do: TRIDENT's Otsu segmenter (grey and dark pixels count as white, one
threshold on brightness, specks dropped, holes filled) and CLAM's (saturation above 8 after a
median filter, closed, small pieces dropped).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["PEERS", "clam_rule", "trident_rule"]

Mask = NDArray[np.bool_]


def trident_rule(rgb: NDArray[np.uint8]) -> Mask:
    """Two passes of Otsu's threshold on brightness; what is grey or dark is background."""
    lit = rgb.copy()
    lit[(rgb == 0).all(axis=2)] = 255
    _, saturation, value = cv2.split(cv2.cvtColor(lit, cv2.COLOR_RGB2HSV))
    first = lit.copy()
    first[((saturation <= 10) & (value >= 70)) | (value <= 85)] = 255
    found = _large(_darker(first), 61)
    second = lit.copy()
    second[~found] = 255
    return ~_large(~_darker(second), 5001)


def clam_rule(rgb: NDArray[np.uint8], threshold: int = 8, smallest: int = 100) -> Mask:
    """Saturation above a fixed threshold."""
    saturation = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)[..., 1]
    found = (cv2.medianBlur(saturation, 7) > threshold).astype(np.uint8)
    joined = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((4, 4), np.uint8)) > 0
    return ~_large(~_large(joined, smallest), 16)


PEERS = {"TRIDENT-like": trident_rule, "CLAM-like": clam_rule}


def _darker(rgb: NDArray[np.uint8]) -> Mask:
    grey = np.rint(rgb @ np.array([0.2125, 0.7154, 0.0721])).astype(np.uint8)
    threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(grey < threshold)


def _large(mask: Mask, area: int) -> Mask:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= area
    large[0] = False
    return np.asarray(large[labels])
