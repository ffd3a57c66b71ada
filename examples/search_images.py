"""Index a folder of images, and find those most similar to a query image.

python examples/search_images.py MODEL FOLDER QUERY
"""

import sys
from pathlib import Path

import faiss

from pml_potential.benchmark import load_model
from pml_potential.benchmark.data.image_reading import is_image_name


def index_of(model, paths):
    index = faiss.IndexFlatIP(model.embedding_size)
    index.add(model.embed(paths).numpy())
    return index


def nearest(model, index, paths, query, count=5):
    # Vectors have length 1, so inner products are cosine similarities.
    similarities, places = index.search(model.embed([query]).numpy(), min(count, len(paths)))
    return [
        (paths[place], similarity) for place, similarity in zip(places[0], similarities[0], strict=True)
    ]


if __name__ == "__main__":
    folder, images, query = sys.argv[1:]
    model = load_model(folder)
    paths = sorted(path for path in Path(images).rglob("*") if is_image_name(path))
    for path, similarity in nearest(model, index_of(model, paths), paths, query):
        print(f"{similarity:.3f}  {path}")
