"""Where numbers stop meaning a point in space. One place for the kernels and the differentiable code."""

# A coordinate beyond this is no pixel of any picture: the view counts as missing.
LARGEST_PX = 1e9
# A weight outside this range takes its view out: squares of weights must stay numbers.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-12, 1e12
# Rays must meet at an angle: sin^2 summed over all pairs of views. 1e-8 is a tenth of a milliradian,
# hundredths of a pixel of an ordinary camera: closer to parallel than any detector can tell.
PARALLAX_SIN2 = 1e-8
# No point lies nearer to a camera's centre than this. Two lenses at one place "meet" at their common centre.
NEAREST_MM = 1.0
# All pairs of so many views at most (120 pairs); the consensus is still counted over all views.
MAX_SEARCH_VIEWS = 16
