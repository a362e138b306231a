"""Draw the people of a result folder over the pictures they were found in.

    python examples/draw_result.py RESULT_FOLDER FRAME OUT.png

The folder is one of `trivox predict` or `trivox demo`. All views go side by side into one picture; `trivox draw` does
the same and more.
"""

from __future__ import annotations

import sys

import trivox

if __name__ == "__main__":
    folder, frame, out = sys.argv[1:4]
    try:
        trivox.draw(folder, frames=frame, out=out, show=["pose"])
    except trivox.InputError as error:
        sys.exit(str(error))
