"""The ground of all pages: one template environment, one encoder of pictures, one policy.

A page is a single file. It brings its style and its pictures, fetches nothing and runs no script
but those that were given to :func:`render`; its content security policy says so to the browser.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from rl2qc.core.files import atomic_path
from rl2qc.core.text import area, number, percent, printable, valid_text

__all__ = [
    "Kind",
    "Picture",
    "cut",
    "encode",
    "environment",
    "policy",
    "render",
    "script",
    "write_page",
]

Kind: TypeAlias = Literal["tissue", "drawing", "overview"]
"""What a picture shows: tissue to be judged by eye, lines and letters, or a whole slide of many."""

# Chroma is kept whole where colour or lines matter. A thousand slides must fit on a page that a
# browser opens, so overviews are smaller.
_JPEG: Mapping[Kind, Mapping[str, int]] = {
    "tissue": {"quality": 85, "subsampling": 0},
    "drawing": {"quality": 88, "subsampling": 0},
    "overview": {"quality": 78},
}


_HASH = re.compile(r"[0-9a-f]{32,}")


@dataclass(frozen=True)
class Picture:
    """A picture that a page brings.

    Attributes
    ----------
    uri
        ``data:`` and all of it.
    width, height
        In px, so that nothing on the page moves while it is shown.
    """

    uri: str
    width: int
    height: int

    def img(self, alt: str, classes: str = "") -> Markup:
        """The tag: ``{{ picture.img("a tile") }}`` in a template.

        Parameters
        ----------
        alt
            What it shows, for those who do not see it.
        classes
            For the style sheet.

        Examples
        --------
        >>> print(Picture("data:,", 2, 1).img("a < b", "keep"))
        <img src="data:," width="2" height="1" alt="a &lt; b" class="keep" loading="lazy">
        """
        named = Markup(' class="{}"').format(classes) if classes else Markup("")
        return Markup('<img src="{}" width="{}" height="{}" alt="{}"{} loading="lazy">').format(
            self.uri, self.width, self.height, valid_text(alt), named
        )


def encode(
    image: Image.Image | NDArray[np.uint8], side: int | None = None, *, kind: Kind = "tissue"
) -> Picture:
    """A picture as a page holds it.

    Parameters
    ----------
    image
        A picture, or (h, w, 3) uint8.
    side
        Its longer side in px at most; None leaves it as it is.
    kind
        What it shows: how well it is kept depends on that.

    Examples
    --------
    >>> small = encode(np.zeros((40, 80, 3), np.uint8), 20)
    >>> small.width, small.height, small.uri[:23]
    (20, 10, 'data:image/jpeg;base64,')
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture = picture.convert("RGB")
    if side is not None:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **_JPEG[kind])
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, picture.width, picture.height)


def policy(scripts: Sequence[str] = (), *, served: bool = False) -> str:
    """The content security policy of a page: its own styles and pictures, and these scripts.

    Parameters
    ----------
    scripts
        Texts of the scripts that the page holds; any other is not run.
    served
        Whether they may speak to the server that the page comes from.

    Examples
    --------
    >>> policy().split("; ")[:3]
    ["default-src 'none'", 'img-src data:', "style-src 'unsafe-inline'"]
    """
    # Styles inline: the length of a bar is a style of its own.
    rules = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'"]
    if scripts:
        hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
        known = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
        rules.append(f"script-src {known}")
    if served:
        rules.append("connect-src 'self'")
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def render(
    template: str, *, scripts: Sequence[str] = (), served: bool = False, **content: Any
) -> str:
    """The text of a page.

    Parameters
    ----------
    template
        Name of a file in ``html/templates`` that extends ``base.html.j2``.
    scripts
        What the page runs; nothing else is run.
    served
        Whether they may speak to the server that the page comes from.
    content
        What the template asks for.

    Raises
    ------
    ValueError
        A script that would end its own element.
    jinja2.UndefinedError
        Something that the template asks for is not there.
    """
    if any("</script" in script.lower() or "<!--" in script for script in scripts):
        raise ValueError("a script on a page must hold neither </script nor <!--")
    page = environment().get_template(template)
    return page.render(
        scripts=tuple(scripts), policy=policy(scripts, served=served), served=served, **content
    )


def write_page(
    path: str | Path, template: str, *, scripts: Sequence[str] = (), **content: Any
) -> None:
    """Write a page (:func:`render`) to ``path``, whole or not at all."""
    page = render(template, scripts=scripts, **content)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def script(name: str) -> str:
    """A script of ``html/templates``: ``zoom.js`` enlarges the pictures of any page.

    Examples
    --------
    >>> "use strict" in script("zoom.js")
    True
    """
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def cut(text: str) -> str | Markup:
    """A long hash cut in the middle, all of it in its title; other text as it is.

    Examples
    --------
    >>> print(cut("0123456789abcdef" * 2))
    <span title="0123456789abcdef0123456789abcdef">01234567…cdef</span>
    >>> cut("a name")
    'a name'
    """
    if not _HASH.fullmatch(text):
        return text
    shown = f"{text[:8]}\N{HORIZONTAL ELLIPSIS}{text[-4:]}"
    return Markup('<span title="{}">{}</span>').format(text, shown)


@cache
def environment() -> jinja2.Environment:
    """The environment of all templates: what is not there is an error, and all text is escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("rl2qc.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_valid,
    )
    made.filters |= {
        "area": area,
        "cut": cut,
        "number": number,
        "percent": percent,
        "name": lambda name: printable(str(name)),
        "words": lambda name: str(name).replace("_", " "),
    }
    return made


def _valid(value: Any) -> Any:
    """Names of files need not be valid text, and pages must be."""
    if isinstance(value, Markup) or not isinstance(value, str | os.PathLike):
        return value
    return valid_text(value)
