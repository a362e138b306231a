"""Where numbers stop meaning a point in space. One place for the kernels and the differentiable code."""

# A coordinate beyond this is no pixel of any picture: the view counts as missing.
LARGEST_PX = 1e9
# A weight outside this range takes its view out: squares of weights must stay numbers.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-12, 1e12
# Rays must meet at an angle: sin^2 summed over all pairs of views. 1e-4 is ten milliradians, some ten pixels of an
# ordinary camera: where rays are closer to parallel, noise decides how far away the point seems. (COLMAP asks for 26.)
PARALLAX_SIN2 = 1e-4
# A pivot this small beside the trace may be nothing but rounding: of parallel rays the least squares leave a direction
# open, and what stands there would look like a point.
SINGULAR = 1e-14
# No point lies nearer to a camera's centre than this. Two lenses at one place "meet" at their common centre.
NEAREST_MM = 10.0
# All pairs of so many views at most (120 pairs); the consensus is still counted over all views.
MAX_SEARCH_VIEWS = 16
