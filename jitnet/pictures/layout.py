"""Where the boxes and lines of a graph without circles stand: in ranks, after Sugiyama, Tagawa and Toda 1981."""

import itertools
from dataclasses import dataclass, field

GAP, CLEARANCE = 22.0, 30.0  # between neighbours in a rank, and between two ranks of boxes
SWEEPS = 12


@dataclass
class Place:
    """A box, or a bend of a line that passes a rank.

    across: its size along the rank, depth: its size from rank to rank; position: of its centre along the rank.
    """

    rank: int
    across: float
    depth: float
    position: float = 0.0
    before: list = field(default_factory=list)
    after: list = field(default_factory=list)
    bend: bool = False


def arranged(sizes: list, edges: list) -> tuple:
    """(centres of the boxes, lines, centres of their labels, size of all); all in coordinates (across, depth).

    sizes: [(across, depth)] of boxes, edges: [(box, later box, (across, depth) of its label)].
    A line is a list of points; between two of them it bends, or it is straight where both stand on one line.
    """
    places = [Place(2 * rank, *size) for rank, size in zip(_ranks(len(sizes), edges), sizes, strict=True)]
    chains = []
    for start, end, label in edges:
        chain = [places[start]]
        for rank in range(places[start].rank + 1, places[end].rank):
            first = rank == places[start].rank + 1
            chain.append(Place(rank, *(label if first else (0.0, 0.0)), bend=True))
        chain.append(places[end])
        for one, other in itertools.pairwise(chain):
            one.after.append(other)
            other.before.append(one)
        chains.append(chain)
    ranks: list = [[] for _ in range(max(place.rank for place in places) + 1)]
    for place in _in_depth(places):
        ranks[place.rank].append(place)
    ranks = _least_crossings(ranks)
    _spread(ranks)
    tops, top = [], 0.0
    for number, rank in enumerate(ranks):
        tops.append(top)
        top += max((place.depth for place in rank), default=0.0) + (CLEARANCE if number % 2 else 0.0)
    ends = [*tops[1:], top]

    def centre(place):
        return place.position, (tops[place.rank] + ends[place.rank]) / 2

    lines, labels = [], []
    for chain in chains:
        first, last = chain[0], chain[-1]
        points = [(first.position, centre(first)[1] + first.depth / 2)]
        for place in chain[1:-1]:
            if place.rank % 2:
                points.append(centre(place))
            else:  # past boxes
                points += [(place.position, tops[place.rank]), (place.position, ends[place.rank])]
        points.append((last.position, centre(last)[1] - last.depth / 2))
        lines.append(points)
        labels.append(centre(chain[1]))
    low = min(place.position - place.across / 2 for rank in ranks for place in rank)
    high = max(place.position + place.across / 2 for rank in ranks for place in rank)

    def moved(point):
        return point[0] - low, point[1]

    return (
        [moved(centre(place)) for place in places], [[moved(p) for p in line] for line in lines],
        [moved(p) for p in labels], (high - low, top),
    )  # fmt: skip


def _ranks(count: int, edges: list) -> list[int]:
    """One more than the highest rank before; boxes without one before stand just before their first successor."""
    ranks, after = [0] * count, [[] for _ in range(count)]
    for start, end, _ in edges:
        after[start].append(end)
    for start in range(count):  # a box comes before those that it leads to
        for end in after[start]:
            ranks[end] = max(ranks[end], ranks[start] + 1)
    targets = {end for _, end, _ in edges}
    for box in range(count):
        if box not in targets and after[box]:
            ranks[box] = min(ranks[end] for end in after[box]) - 1
    return ranks


def _in_depth(places: list) -> list:
    """All places, those that hang together close to each other."""
    found: dict = {}
    stack = [place for place in reversed(places) if not place.before]
    while stack:
        place = stack.pop()
        if id(place) not in found:
            found[id(place)] = place
            stack.extend(reversed(place.after))
    return list(found.values())


def _least_crossings(ranks: list) -> list:
    """The order in which the fewest lines cross, of those that sorting by neighbours' means comes by."""
    best, fewest = [list(rank) for rank in ranks], _crossings(ranks)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for number in range(1, len(ranks)) if down else range(len(ranks) - 2, -1, -1):
            fixed = {id(place): i for i, place in enumerate(ranks[number - 1 if down else number + 1])}
            means = {}
            for i, place in enumerate(ranks[number]):
                near = [fixed[id(other)] for other in (place.before if down else place.after)]
                means[id(place)] = sum(near) / len(near) if near else i
            ranks[number].sort(key=lambda place, means=means: means[id(place)])
        crossings = _crossings(ranks)
        if crossings < fewest:
            best, fewest = [list(rank) for rank in ranks], crossings
    return best


def _crossings(ranks: list) -> int:
    total = 0
    for upper, lower in itertools.pairwise(ranks):
        order = {id(place): i for i, place in enumerate(lower)}
        ends = [order[id(other)] for place in upper for other in sorted(place.after, key=lambda o: order[id(o)])]
        total += sum(one > other for i, one in enumerate(ends) for other in ends[i + 1 :])
    return total


def _spread(ranks: list) -> None:
    """Choose positions in the given order: each as near to its neighbours' mean as the room allows."""
    for rank in ranks:
        for before, place in zip([None, *rank], rank, strict=False):
            place.position = 0.0 if before is None else before.position + _distance(before, place)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for rank in ranks[1:] if down else reversed(ranks[:-1]):
            wanted = []
            for place in rank:
                near = place.before if down else place.after
                weights = [8.0 if place.bend and other.bend else 1.0 for other in near]  # long lines are straight
                mean = sum(w * other.position for w, other in zip(weights, near, strict=True)) / (sum(weights) or 1.0)
                wanted.append((mean if near else place.position, sum(weights) or 0.1))
            _settle(rank, wanted)


def _distance(one: Place, other: Place) -> float:
    return (one.across + other.across) / 2 + GAP


def _settle(rank: list, wanted: list) -> None:
    """The positions with the least weighted sum of squared distances from what is wanted (pool adjacent violators)."""
    offsets, total = [], 0.0
    for before, place in zip([None, *rank], rank, strict=False):
        total += 0.0 if before is None else _distance(before, place)
        offsets.append(total)
    blocks: list = []  # [mean, weight, count]
    for (position, weight), offset in zip(wanted, offsets, strict=True):
        blocks.append([position - offset, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, weight, count = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
            last[1], last[2] = last[1] + weight, last[2] + count
    means = [mean for mean, _, count in blocks for _ in range(count)]
    for place, mean, offset in zip(rank, means, offsets, strict=True):
        place.position = mean + offset
