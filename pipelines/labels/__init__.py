"""From pictures with keywords to label maps.

The modules, in the order of the work:

1. `plan` decides which pictures are labelled, and how.
2. `instances`, `attention` and `recognizer` look at a picture with a network each.
3. `cues` collects what they find in one picture. `cue_store` keeps the cues of all pictures in files.
4. `learn` learns from the cues of all pictures: keywords of instances (`assign_in_set`, with `graph`), what cells show
   (`cells`), and what windows are worth (`windows`).
5. `instance_keywords` gives the instances of one picture their keywords: `assign_in_picture` chooses them, `divide`
   cuts instances that show several.
6. `labeller` makes the label map of one picture. `paint` paints the instances. `fuse` merges them with other opinions,
   such as that of a DeepLab (`earlier_deeplab`). `fill` adds keywords that no instance got.
7. `picture_work` is all that is done with one picture, in whatever process: 2 and 3 in one step, 5 and 6 in another.

Several of these use `coarse_maps` (coarse maps at the size of their picture) and `linear_probe` (linear classifiers).
"""
