"""Grading labs with nbval, without trusting the notebook that is graded."""

import sys

# jsonschema builds an IRI grammar of it, 3 s in every process that imports nbformat; no notebook needs it.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
