"""A lab of three tasks, small enough to be read: what the tests of grading work on."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

CELLS = {
    "text": "# A small lab",
    "student": '# STUDENT\nfrom xenlab.grading.seeds import seed_of\n\nSTUDENT = "up000000"\nSEED = seed_of(STUDENT)',
    "tools": "from xenlab.grading.evidence import evidence",
    "add": "# TASK add\ndef add(a, b):\n    ### BEGIN SOLUTION\n    return a + b\n    ### END SOLUTION",
    "add-check": "# CHECK add (1 point)\n# HINT: What is two and three?\nevidence(add(2, 3))",
    "add-hidden": "# HIDDEN add (2 points)\n# HINT: Other numbers.\nevidence(add(SEED, 7))",
    "own": "# TASK own\n### BEGIN SOLUTION\nown = SEED % 10\n### END SOLUTION",
    "own-hidden": "# HIDDEN own (1 point)\nevidence(own)",
    "two-a": "# TASK two\n### BEGIN SOLUTION\nfirst = 1\n### END SOLUTION",
    "two-b": "# TASK two\n### BEGIN SOLUTION\nsecond = 2\n### END SOLUTION",
    "two-check": "# CHECK two (1 point)\nevidence(first, second)",
}
REFERENCES = {"add-check": [{"output_type": "stream", "name": "stdout", "text": "5\n"}]}
REFERENCES["two-check"] = [{"output_type": "stream", "name": "stdout", "text": "[1, 2]\n"}]


def notebook(**changed: str):
    """The master; a cell can be given another source by its id, with _ for -, or left out with None."""
    cells = CELLS | {name.replace("_", "-"): source for name, source in changed.items()}
    made = [
        (new_markdown_cell if name == "text" else new_code_cell)(source, id=name)
        for name, source in cells.items()
        if source is not None
    ]
    return nbformat.v4.new_notebook(cells=made)
