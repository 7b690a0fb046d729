"""What is taken where nothing is named."""

from __future__ import annotations

__all__ = ["DEFAULT_MODEL"]

DEFAULT_MODEL = "general"
"""The model, and the backbone of training, of those who name none."""
