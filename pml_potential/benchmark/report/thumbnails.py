"""Small pictures embedded in a page."""

import base64
import io

from markupsafe import Markup
from PIL import Image

_SIDE = 192


def thumbnail(picture: Image.Image, side: int = _SIDE) -> Markup:
    """A picture as the address of an ``img`` element: a small JPEG in a data URL.

    Args:
        picture: of any size and mode.
        side: most pixels of its longer side. Default 192.

    Examples:
        >>> thumbnail(Image.new("RGB", (300, 20)))[:27]
        Markup('data:image/jpeg;base64,/9j/')
    """
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return Markup("data:image/jpeg;base64,") + base64.b64encode(file.getvalue()).decode()
