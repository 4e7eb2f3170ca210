"""A bare interpreter that only imports NumPy: what is taken off everyone's memory."""

import entry

if __name__ == "__main__":
    entry.arguments()
    entry.finish(setup=0.0, solve=[0.0], errors={"none": 0.0})
