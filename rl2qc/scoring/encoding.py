"""Encoding between a real set and a generated one: named, weighed, and brought to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rl2qc.features.looks import LooksOf
from rl2qc.images.encoding import Difference, Encoding, encoding_differences
from rl2qc.images.recipes import Recipe, find_recipe, reencoded
from rl2qc.images.sources.images import PatchSource
from rl2qc.images.sources.notes import abouts_of
from rl2qc.scoring.image_sets import ImageSet

__all__ = ["WEIGHED", "Control", "Encodings", "encoding_of", "harmonized"]

# Images that recipes are tried on, and real ones that are encoded again to weigh a difference.
_TRIED, WEIGHED = 16, 300


@dataclass(frozen=True, eq=False)
class Encodings:
    """How all sets of a score are encoded.

    Attributes
    ----------
    sets
        By title.
    differences
        From the real set, by title.
    recipes
        What was done to a set to harmonize it, by title.
    """

    sets: Mapping[str, Encoding]
    differences: Mapping[str, Sequence[Difference]]
    recipes: Mapping[str, Sequence[Recipe]]

    @classmethod
    def of(
        cls,
        sources: Mapping[str, PatchSource],
        looks: Mapping[str, LooksOf | None],
        recipes: Mapping[str, Sequence[Recipe]] | None = None,
    ) -> Encodings:
        """Compare every set with the real one."""
        sets = {title: encoding_of(source, looks[title]) for title, source in sources.items()}
        differences = {
            title: encoding_differences(sets["real"], found)
            for title, found in sets.items()
            if title != "real"
        }
        return cls(sets, differences, recipes or {})

    def warnings(self) -> list[str]:
        """A line for each set that is encoded differently."""
        return [
            f"{'' if title == 'generated' else title + ': '}the sets are encoded differently: "
            f"{'; '.join(d.words for d in found)}. That alone moves metrics: save both sets alike, "
            "or pass --harmonize"
            for title, found in self.differences.items()
            if found
        ]

    def record(self) -> dict[str, object]:
        """Plain data: how the files are stored, how sets differ, what was done."""
        return {
            "stored": {title: found.record() for title, found in self.sets.items()},
            "differences": {t: [d.words for d in found] for t, found in self.differences.items()},
            "harmonized": {t: [r.name for r in found] for t, found in self.recipes.items()},
        }

    def recipe(self, source: PatchSource, of: str, to: str) -> Recipe:
        """What makes the images of one set look encoded as those of another."""
        other = to if to != "real" else of
        # What only the other one's pixels show needs not to be done to it.
        shown = ("", "real" if to == "real" else "generated")
        kinds = [d.kind for d in self.differences[other] if d.shown_by in shown]
        some = source.sample(min(_TRIED, len(source)), 0)
        found = find_recipe(some, self.sets[of], self.sets[to], kinds)
        return replace(found, grey=True) if "grey" in kinds else found


@dataclass(frozen=True, eq=False)
class Control:
    """What a difference of encoding is worth.

    Attributes
    ----------
    real, again
        Some real images, and the same encoded as the generated ones are.
    recipe
        How.
    """

    real: ImageSet
    again: ImageSet
    recipe: Recipe


def encoding_of(source: PatchSource, looks: LooksOf | None) -> Encoding:
    """How one set is encoded."""
    return Encoding(abouts_of(source), None if looks is None else looks.traces)


def harmonized(
    sources: Mapping[str, PatchSource], found: Encodings
) -> tuple[dict[str, PatchSource], dict[str, tuple[Recipe, ...]]]:
    """Sets that have been through the same: each is encoded as the others are.

    Returns
    -------
    The sets, and what was done to each; both empty where there is nothing to do.
    """
    others = [title for title, differ in found.differences.items() if differ]
    lost = {title: found.recipe(sources["real"], "real", title) for title in others}
    wanting = {title: found.recipe(sources[title], title, "real") for title in others}
    steps = {title: {wanting[title], *lost.values()} - {lost[title]} for title in others}
    steps["real"] = {*lost.values()}
    for title, chosen in steps.items():
        if others and any(a is not None and a.bits > 8 for a in found.sets[title].abouts):
            chosen.add(Recipe(bits=8))
    recipes = {
        title: tuple(sorted(some, key=lambda recipe: recipe.name))
        for title, chosen in steps.items()
        if (some := chosen - {Recipe()})
    }
    changed = dict(sources)
    for title, steps_of in recipes.items():
        for recipe in steps_of:
            changed[title] = reencoded(changed[title], recipe)
    return changed, recipes
