import base64
import io

from PIL import Image

from pml_potential.benchmark.report.thumbnails import thumbnail


def test_a_thumbnail_is_a_small_picture_of_the_same_shape() -> None:
    address = thumbnail(Image.new("L", (384, 96), 200))
    kind, _, text = address.partition(",")
    assert kind == "data:image/jpeg;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    assert (picture.mode, picture.size) == ("RGB", (192, 48))
    assert picture.getpixel((20, 20)) == (200, 200, 200)


def test_a_small_picture_stays_as_large_as_it_is() -> None:
    text = thumbnail(Image.new("RGB", (8, 5))).partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (8, 5)


def test_the_size_may_be_given() -> None:
    text = thumbnail(Image.new("RGB", (300, 150)), 96).partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (96, 48)
