"""The kernels of the field on a GPU: which pairs may act, the energies of points, and their forces.

Written in Triton, which is needed to import this file; ``gpu_field`` launches them. Points are sorted
by class, in *parts* of ``part_size`` points. A *tile* is the result of one matrix product, the pairs of
``tile`` rows and ``tile`` columns: a square of parts, ``across`` of them on a side. So far the kernels
have been checked in Triton's interpreter and compiled ahead of time, but not run or timed on a GPU.
"""

from typing import no_type_check

import triton
from triton import language as tl


@triton.jit
@no_type_check
def hit_kernel(
    hits,
    vectors,
    norms,
    classes,
    count,
    width,
    tiles,
    near,
    far,
    tile: tl.constexpr,
    part_size: tl.constexpr,
    depth: tl.constexpr,
    group: tl.constexpr,
):
    """Mark the parts of a tile, and of the same tile mirrored, in which a pair may act.

    Programs that run at the same time work on a square of ``group`` x ``group`` tiles, and share what
    they load; the squares cover the upper triangle.
    """
    row_square, column_square = _square_of_triangle(tl.program_id(0) // (group * group))
    row_tile = row_square * group + tl.program_id(0) % group
    column_tile = column_square * group + tl.program_id(0) // group % group
    if (row_tile > column_tile) | (column_tile >= tiles):
        return
    # The start of a tile takes 64 bits, an offset within it only 32: 64 would spill registers.
    top, start = row_tile.to(tl.int64) * tile, column_tile.to(tl.int64) * tile
    rows, columns = tl.arange(0, tile), tl.arange(0, tile)
    # Beyond the end are copies of the last point, which infinite norms move infinitely far away.
    row_offsets = (tl.minimum(rows, count - 1 - top) * width).to(tl.int32)
    column_offsets = (tl.minimum(columns, count - 1 - start) * width).to(tl.int32)
    products = tl.zeros((tile, tile), tl.float32)
    for origin in range(0, width, depth):
        coordinates = origin + tl.arange(0, depth)
        inside = coordinates < width
        row_places = vectors + top * width + (row_offsets[:, None] + coordinates[None, :])
        column_places = vectors + start * width + (column_offsets[None, :] + coordinates[:, None])
        x = tl.load(row_places, mask=inside[None, :], other=0.0)
        y = tl.load(column_places, mask=inside[:, None], other=0.0)
        products = tl.dot(x, y, products)
    is_row, is_column = rows < count - top, columns < count - start
    row_norms = tl.load(norms + top + rows, mask=is_row, other=float("inf"))
    column_norms = tl.load(norms + start + columns, mask=is_column, other=float("inf"))
    row_excess = 0.5 * (row_norms * row_norms - near)
    # More than 0 where the squared distance is less than the limit.
    nearness = products - row_excess[:, None] - (0.5 * column_norms * column_norms)[None, :]
    across: tl.constexpr = tile // part_size
    word, mirrored = tl.full((), 0, tl.int32), tl.full((), 0, tl.int32)
    # Classes are sorted: if the last row's comes before the first column's, no pair is of one class.
    last_row = tl.minimum(top + tile, count) - 1
    shares_a_class = tl.load(classes + last_row) >= tl.load(classes + start)
    if shares_a_class | (tl.max(tl.max(nearness, axis=1), axis=0) > 0):
        # Beyond the end, the last point's class is repeated, which at most marks its part needlessly.
        row_classes = tl.load(classes + top + tl.minimum(rows, count - 1 - top))
        column_classes = tl.load(classes + start + tl.minimum(columns, count - 1 - start))
        same = row_classes[:, None] == column_classes[None, :]
        margins = tl.where(same, 0.5 * (near - far) - nearness, nearness)
        margins = tl.reshape(margins, (across, part_size, across, part_size))
        hit_parts = (tl.max(tl.max(margins, axis=3), axis=1) > 0).to(tl.int32)
        row_parts, column_parts = tl.arange(0, across)[:, None], tl.arange(0, across)[None, :]
        word = tl.sum(tl.sum(hit_parts << row_parts * across + column_parts, axis=1), axis=0)
        mirrored = tl.sum(tl.sum(hit_parts << column_parts * across + row_parts, axis=1), axis=0)
    tl.store(hits + row_tile.to(tl.int64) * tiles + column_tile, word.to(tl.int16))
    tl.store(hits + column_tile.to(tl.int64) * tiles + row_tile, mirrored.to(tl.int16))


@triton.jit
@no_type_check
def _square_of_triangle(number):
    """Row and column, row <= column, of a square, counted column after column."""
    column = ((tl.sqrt(8.0 * number.to(tl.float32) + 1.0) - 1.0) * 0.5).to(tl.int32)
    # The root is rounded.
    column = tl.where(column * (column + 1) // 2 > number, column - 1, column)
    column = tl.where((column + 1) * (column + 2) // 2 <= number, column + 1, column)
    return number - column * (column + 1) // 2, column


@triton.jit
@no_type_check
def energy_kernel(
    sums,
    points,
    classes,
    order,
    hits,
    parameters,
    count,
    width,
    targets,
    tiles,
    law: tl.constexpr,
    tile: tl.constexpr,
    part_size: tl.constexpr,
    depth: tl.constexpr,
    chunk: tl.constexpr,
):
    """Add up, for each point of a part, the potentials of its acting pairs.

    The second axis of the grid distributes the columns, one part each in turn. ``sums`` is
    (shares, 4, n): potential and number of the same-class pairs, then the excess over the plateau and
    the number of the different-class pairs.
    """
    part, share, shares = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    rows = part * part_size + tl.arange(0, part_size)
    is_row = rows < count
    row_classes = tl.load(classes + rows, mask=is_row, other=-1)
    is_row_target = tl.load(order + rows, mask=is_row, other=targets) < targets
    attraction = tl.zeros((part_size,), tl.float64)
    repulsion = tl.zeros((part_size,), tl.float64)
    attraction_count = tl.zeros((part_size,), tl.int32)
    repulsion_count = tl.zeros((part_size,), tl.int32)
    parts = tl.cdiv(count, part_size)
    for origin in range(share, parts, shares * chunk):
        candidates = origin + shares * tl.arange(0, chunk)
        is_hit = _are_hit(hits, part, candidates, parts, tiles, tile // part_size)
        column_part = tl.min(tl.where(is_hit, candidates, parts), axis=0)
        while column_part < parts:
            columns = column_part * part_size + tl.arange(0, part_size)
            is_column = columns < count
            column_classes = tl.load(classes + columns, mask=is_column, other=-1)
            is_column_target = tl.load(order + columns, mask=is_column, other=targets) < targets
            squared = _squared_distances(points, part, column_part, count, width, part_size, depth)
            same = row_classes[:, None] == column_classes[None, :]
            # A point's distance from itself is within any radius of attraction.
            counts = is_row[:, None] & is_column[None, :]
            counts = counts & (is_row_target[:, None] | is_column_target[None, :])
            value, slope = _attraction(squared, parameters, law)
            acts = counts & same & (slope != 0)
            attraction += tl.sum(tl.where(acts, value.to(tl.float64), 0.0), axis=1)
            attraction_count += tl.sum(acts.to(tl.int32), axis=1)
            value, slope = _repulsion(squared, parameters, law)
            acts = counts & (same == 0) & (slope != 0)
            excess = value.to(tl.float64) - tl.load(parameters + 5)
            repulsion += tl.sum(tl.where(acts, excess, 0.0), axis=1)
            repulsion_count += tl.sum(acts.to(tl.int32), axis=1)
            later = is_hit & (candidates > column_part)
            column_part = tl.min(tl.where(later, candidates, parts), axis=0)
    place = sums + share.to(tl.int64) * 4 * count + rows
    tl.store(place, attraction, mask=is_row)
    tl.store(place + count, attraction_count.to(tl.float64), mask=is_row)
    tl.store(place + 2 * count, repulsion, mask=is_row)
    tl.store(place + 3 * count, repulsion_count.to(tl.float64), mask=is_row)


@triton.jit
@no_type_check
def total_kernel(
    energies,
    statistics,
    sums,
    order,
    first_of_class,
    end_of_class,
    parameters,
    count,
    targets,
    shares,
    point_count: tl.constexpr,
    share_count: tl.constexpr,
):
    """Add up the shares of each point and its plateaus, and store them at its original index."""
    spots = tl.program_id(0) * point_count + tl.arange(0, point_count)
    is_spot = spots < count
    places = tl.load(order + spots, mask=is_spot, other=0)
    own = tl.load(end_of_class + spots, mask=is_spot, other=0)
    own -= tl.load(first_of_class + spots, mask=is_spot, other=0)
    energy = own * tl.load(parameters + 4) + (count - own) * tl.load(parameters + 5)
    share = tl.arange(0, share_count)[:, None]
    for kind in tl.static_range(4):
        terms = tl.load(
            sums + (share.to(tl.int64) * 4 + kind) * count + spots[None, :],
            mask=(share < shares) & is_spot[None, :],
            other=0.0,
        )
        total = tl.sum(terms, axis=0)
        tl.store(statistics + kind * count + places, total, mask=is_spot)
        if kind == 1:
            # Pairs that act are not on the plateau.
            energy -= total * tl.load(parameters + 4)
        elif kind != 3:
            energy += total
    tl.store(energies + places, energy, mask=is_spot & (places < targets))


@triton.jit
@no_type_check
def gradient_kernel(
    gradient,
    points,
    classes,
    order,
    hits,
    parameters,
    upstream,
    upstream_stride,
    count,
    width,
    targets,
    tiles,
    law: tl.constexpr,
    tile: tl.constexpr,
    part_size: tl.constexpr,
    depth: tl.constexpr,
    chunk: tl.constexpr,
    force_depth: tl.constexpr,
):
    """Add up the forces of the acting pairs of each point of a part, at the point's original index.

    The second axis of the grid distributes the columns, one part each in turn. ``gradient`` is
    (shares, n, d), starts from zero, and each of its numbers belongs to one program.
    """
    dtype = points.dtype.element_ty
    part, share, shares = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    rows = part * part_size + tl.arange(0, part_size)
    is_row = rows < count
    places = tl.load(order + rows, mask=is_row, other=targets)
    row_classes = tl.load(classes + rows, mask=is_row, other=-1)
    row_upstream = tl.load(upstream + places * upstream_stride, mask=places < targets, other=0.0)
    own = gradient + share.to(tl.int64) * count * width
    parts = tl.cdiv(count, part_size)
    for origin in range(share, parts, shares * chunk):
        candidates = origin + shares * tl.arange(0, chunk)
        is_hit = _are_hit(hits, part, candidates, parts, tiles, tile // part_size)
        column_part = tl.min(tl.where(is_hit, candidates, parts), axis=0)
        while column_part < parts:
            columns = column_part * part_size + tl.arange(0, part_size)
            is_column = columns < count
            origins = tl.load(order + columns, mask=is_column, other=targets)
            column_upstream = tl.load(
                upstream + origins * upstream_stride, mask=origins < targets, other=0.0
            )
            column_classes = tl.load(classes + columns, mask=is_column, other=-1)
            # The other way round: columns first.
            squared = _squared_distances(points, column_part, part, count, width, part_size, depth)
            same = column_classes[:, None] == row_classes[None, :]
            _, attraction = _attraction(squared, parameters, law)
            _, repulsion = _repulsion(squared, parameters, law)
            slope = tl.where(same, attraction, repulsion)
            # Points that coincide have no direction to push each other in, nor has a point with itself.
            acts = (squared > 0) & is_column[:, None] & is_row[None, :]
            ends = (column_upstream[:, None] + row_upstream[None, :]).to(dtype)
            weight = tl.where(acts, 2 * slope * ends, 0.0)
            row_vectors = points + part.to(tl.int64) * part_size * width
            column_vectors = points + column_part.to(tl.int64) * part_size * width
            for start in range(0, width, force_depth):
                coordinates = start + tl.arange(0, force_depth)
                inside = (coordinates < width)[None, :]
                offsets = tl.arange(0, part_size)[:, None] * width + coordinates[None, :]
                x = tl.load(row_vectors + offsets, mask=is_row[:, None] & inside, other=0.0)
                y = tl.load(column_vectors + offsets, mask=is_column[:, None] & inside, other=0.0)
                force = tl.sum(weight[:, :, None] * (x[None, :, :] - y[:, None, :]), axis=0)
                place = own + places[:, None] * width + coordinates[None, :]
                mask = is_row[:, None] & inside
                tl.store(place, tl.load(place, mask=mask, other=0.0) + force, mask=mask)
            # A thread may load for the next part what another one has stored.
            tl.debug_barrier()
            later = is_hit & (candidates > column_part)
            column_part = tl.min(tl.where(later, candidates, parts), axis=0)


@triton.jit
@no_type_check
def _are_hit(hits, part, candidates, parts, tiles, across: tl.constexpr):
    row = hits + (part // across).to(tl.int64) * tiles
    words = tl.load(row + candidates // across, mask=candidates < parts, other=0).to(tl.int32)
    return ((words >> (part % across * across + candidates % across)) & 1) != 0


@triton.jit
@no_type_check
def _squared_distances(
    points, part, other_part, count, width, part_size: tl.constexpr, depth: tl.constexpr
):
    """From differences, since 2 - 2 cos has no correct digit left in float32 where r is small."""
    offsets = tl.arange(0, part_size)
    is_row, is_column = offsets < count - part * part_size, offsets < count - other_part * part_size
    row_vectors = points + part.to(tl.int64) * part_size * width
    column_vectors = points + other_part.to(tl.int64) * part_size * width
    total = tl.zeros((part_size, part_size), points.dtype.element_ty)
    for start in range(0, width, depth):
        coordinates = start + tl.arange(0, depth)
        inside = (coordinates < width)[:, None]
        places = coordinates[:, None] + offsets[None, :] * width
        x = tl.load(row_vectors + places, mask=inside & is_row[None, :], other=0.0)
        y = tl.load(column_vectors + places, mask=inside & is_column[None, :], other=0.0)
        apart = x[:, :, None] - y[:, None, :]
        total += tl.sum(apart * apart, axis=0)
    return total


@triton.jit
@no_type_check
def _attraction(squared_distance, parameters, law: tl.constexpr):
    """Value and slope between points of one class, as in ``potentials``."""
    dtype = squared_distance.dtype
    squared_radius = tl.load(parameters + 0).to(dtype)
    alpha = tl.load(parameters + 3).to(dtype)
    acts = squared_distance > squared_radius
    squared = tl.maximum(squared_distance, squared_radius)
    if law == "PowerLaw":
        value = -tl.exp2(-0.5 * alpha * tl.log2(squared))
        slope = value / squared * (-0.5 * alpha)
    elif law == "Logarithmic":
        value = 0.5 * tl.log(squared)
        slope = 0.5 / squared
    else:
        value = squared
        slope = tl.full(squared.shape, 1.0, dtype)
    return value, tl.where(acts, slope, 0.0)


@triton.jit
@no_type_check
def _repulsion(squared_distance, parameters, law: tl.constexpr):
    """Value and slope between points of different classes, as in ``potentials``."""
    dtype = squared_distance.dtype
    radius = tl.load(parameters + 1).to(dtype)
    core_radius = tl.load(parameters + 2).to(dtype)
    alpha = tl.load(parameters + 3).to(dtype)
    distance = tl.sqrt(squared_distance)
    outside = tl.minimum(tl.maximum(distance, core_radius), radius)
    depth = tl.maximum(core_radius - distance, 0.0)
    if law == "PowerLaw":
        value = tl.exp2(-alpha * tl.log2(outside))
        force = value / outside * -alpha
        value -= force * depth
    elif law == "Logarithmic":
        force = -1.0 / outside
        value = depth / outside - tl.log(outside)
    else:
        gap = tl.maximum(radius - distance, 0.0)
        force = -2.0 * gap
        value = gap * gap
    # A plain number would be rounded to float32.
    slope = force / (2.0 * tl.maximum(distance, tl.full((), 1e-12, dtype)))
    return value, tl.where(distance < radius, slope, 0.0)
