"""Chooses a keyword of the picture for each instance, picture by picture.

Instances come without a class, pictures with one or several keywords. A single keyword goes to every instance of its
picture. Among several keywords, the attention maps (class activation maps) decide. Compare p_ij of Fan et al.,
"Associating Inter-Image Salient Instances for Weakly Supervised Semantic Segmentation" (ECCV 2018): it is a mean over
the box, here it is a mean over the mask.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipelines.data.classes import IGNORE, Keywords
from pipelines.labels.coarse_maps import mean_inside

UNASSIGNED = IGNORE
"""Value in `Assignment.keyword` for an instance without keyword; equal to the label of unknown pixels."""

# Least lead of an instance that is given to a keyword without any other instance. Without this limit, a keyword whose
# object was not found takes the instance of another class. On 75 photographs with several keywords, labels fell from
# 0.61 to 0.50 mIoU.
_WORST_LEAD = -0.1


@dataclass(frozen=True)
class Assignment:
    """The keywords of a picture's N instances, K being the number of its keywords.

    Attributes:
        keyword: [N] int64, position of the keyword in the class list; `UNASSIGNED` if no keyword is sure enough.
        affinity: [N, K] float32, how much an instance looks like a keyword: mean of the attention map inside the mask,
            or probability. Zeros if nothing tells.
        margin: [N] float32, lead of the instance's keyword over the best other keyword, in units of the affinity. It is
            below 0 for an instance that was given to a keyword which no other instance could take. It is 1 if there is
            no other keyword.
        rule: How the keywords were chosen: `single`, `attention`, `graph`, `random` or `none`. `none` stands for no
            instance, or for several keywords that nothing tells apart.
        named: [N] bool, whether the keyword comes with the instance, so that the rule does not hold for it; None if no
            keyword does.
    """

    keyword: NDArray[np.int64]
    affinity: NDArray[np.float32]
    margin: NDArray[np.float32]
    rule: str
    named: NDArray[np.bool_] | None = None

    @property
    def is_named(self) -> NDArray[np.bool_]:
        """[N] bool, whether the keyword comes with the instance."""
        return np.zeros(len(self.keyword), bool) if self.named is None else self.named


def assign_single(n: int, keywords: Keywords) -> Assignment:
    """Give every instance the picture's only keyword; give none where there are several.

    Args:
        n: Number of instances, 0 or more.
        keywords: The picture's keywords, 1 or more.
    """
    sure = len(keywords) == 1
    return Assignment(
        keyword=np.full(n, keywords.positions[0] if sure else UNASSIGNED, np.int64),
        affinity=np.zeros((n, len(keywords)), np.float32),
        margin=np.full(n, 1 if sure else 0, np.float32),
        rule="single" if sure and n else "none",
    )


def assign_named(assignment: Assignment, named: NDArray[np.int64]) -> Assignment:
    """Give instances the keyword that their source names, whatever an assignment says of them.

    The margin of such an instance is 1.

    Args:
        assignment: Keywords of the picture's N instances.
        named: [N], position of the named keyword; 0 leaves the assignment as it is.
    """
    known = named > 0
    keyword, margin = np.where(known, named, assignment.keyword), np.where(known, np.float32(1), assignment.margin)
    return Assignment(keyword, assignment.affinity, margin, assignment.rule, known if known.any() else None)


def assign_random(n: int, keywords: Keywords, generator: np.random.Generator) -> Assignment:
    """Give each instance any keyword of the picture; every other strategy has to beat this one.

    Args:
        n: Number of instances, 0 or more.
        keywords: The picture's keywords, 1 or more.
        generator: Random numbers of this picture.
    """
    if len(keywords) == 1 or not n:
        return assign_single(n, keywords)
    chosen = np.array(keywords.positions, np.int64)[generator.integers(len(keywords), size=n)]
    return assigned(chosen, np.zeros((n, len(keywords)), np.float32), keywords, "random")


def assigned(keyword: NDArray[np.int64], affinity: NDArray[np.float32], keywords: Keywords, rule: str) -> Assignment:
    """Make an assignment of keywords [N] and affinities [N, K]; the margins follow from the affinities.

    If K is 1, the margins are 1 and the rule is `single`.
    """
    n = len(affinity)
    if len(keywords) == 1 or not n:
        return Assignment(keyword, affinity, np.ones(n, np.float32), "single" if n else "none")
    column = keywords.columns(keyword)
    best = np.where(column < 0, affinity.argmax(axis=1), column)
    return Assignment(keyword, affinity, leads(affinity, best), rule)


def leads(affinity: NDArray[np.float32], column: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return [N] leads: the affinity in the given column [N] minus the best affinity in another column."""
    others = affinity.copy()
    instances = np.arange(len(affinity))
    others[instances, column] = -np.inf
    lead: NDArray[np.float32] = affinity[instances, column] - others.max(axis=1)
    return lead


def assign_attention(
    masks: NDArray[np.bool_], maps: NDArray[np.float32], keywords: Keywords, margin: float
) -> Assignment:
    """Choose keywords by the attention maps.

    1. An instance takes the keyword with the largest mean inside its mask, if that leads the second by `margin`.
    2. Some keyword may then have no instance, though the picture shows it somewhere. The best one-to-one assignment
       (largest sum of affinities) names an instance for this keyword. The keyword takes this instance, whatever the
       margin. There are two exceptions. The keyword does not take the only instance of another keyword. Nor does it
       take an instance that clearly shows another keyword: its own object was then not found at all. Step 2 needs
       N >= K.
    3. All other instances stay unassigned.

    Args:
        masks: [N, H, W], N may be 0.
        maps: [K, h, w], above 0 for and below 0 against the keyword, on one scale for all keywords; about 1 is strong.
        keywords: The K keywords, in the order of the maps.
        margin: Smallest lead over the second keyword, in units of the maps.
    """
    n, n_keywords = len(masks), len(maps)
    if n == 0 or n_keywords == 1:
        alone = assign_single(n, keywords)
        return Assignment(alone.keyword, mean_inside(masks, maps), alone.margin, alone.rule)
    affinity = mean_inside(masks, maps)
    column = affinity.argmax(axis=1).astype(np.int64)
    lead = leads(affinity, column)
    column[lead < margin] = -1
    if n >= n_keywords:
        instances, winners = linear_sum_assignment(affinity, maximize=True)
        for instance, winner in zip(instances, winners, strict=True):
            owner = column[instance]
            spare = owner < 0 or np.count_nonzero(column == owner) > 1
            possible = affinity[instance, winner] - affinity[instance].max() >= _WORST_LEAD
            if winner not in column and spare and possible:
                column[instance] = winner
    lead = np.where(column < 0, lead, leads(affinity, np.maximum(column, 0)))
    return Assignment(keywords.positions_of(column), affinity, lead.astype(np.float32), "attention")
