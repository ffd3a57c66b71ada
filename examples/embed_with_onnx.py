"""Embed images with onnxruntime, without torch.

python examples/embed_with_onnx.py MODEL IMAGE...
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

BILINEAR = Image.Resampling.BILINEAR


def fitted(picture, how):
    """Fit a picture to the network: the "resize" of preprocessing.json."""
    if how is None:
        return picture
    side = how["size"]
    if how["fit"] == "squash":
        for length in (how["resize"], side):
            picture = picture.resize((length, length), BILINEAR)
        return picture
    if how["fit"] == "pad":
        for longer in (how["resize"], side):
            scale = longer / max(picture.size)
            size = [max(1, round(scale * length)) for length in picture.size]
            picture = picture.resize(size, BILINEAR)
        square = Image.new("RGB", (side, side), tuple(how["border"]))
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        return square
    shorter = min(picture.size)
    width, height = (how["resize"] * length // shorter for length in picture.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return picture.resize((width, height), BILINEAR).crop((left, top, left + side, top + side))


def embed(folder, paths):
    folder = Path(folder)
    how = json.loads((folder / "preprocessing.json").read_text())
    _, height, width, channels = how["input"]["shape"]
    mode = "RGB" if channels == 3 else "L"
    pictures = []
    for path in paths:
        picture = ImageOps.exif_transpose(Image.open(path)).convert(mode)
        pictures.append(np.asarray(fitted(picture, how["resize"])).reshape(height, width, channels))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (embeddings,) = session.run(None, {"pixels": np.stack(pictures)})
    return embeddings


if __name__ == "__main__":
    embeddings = embed(sys.argv[1], sys.argv[2:])
    print(embeddings @ embeddings.T)  # cosine similarities
