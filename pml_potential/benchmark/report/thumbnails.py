"""Small pictures that lie inside a page."""

import base64
import io

from markupsafe import Markup
from PIL import Image

_SIDE = 192


def thumbnail(picture: Image.Image) -> Markup:
    """A picture as the address of an ``img`` element that loads nothing: a JPEG of 192 pixels at most.

    Examples:
        >>> thumbnail(Image.new("RGB", (300, 20)))[:27]
        Markup('data:image/jpeg;base64,/9j/')
    """
    small = picture.convert("RGB")
    small.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return Markup("data:image/jpeg;base64,") + base64.b64encode(file.getvalue()).decode()
