"""A pytest plugin to load before any other (`-p early`): notebooks are read without building an IRI grammar.

jsonschema's format checker imports rfc3987_syntax if it is there, and that builds a grammar in 3 s, in
every process that imports nbformat (jupyter_server#1559, jsonschema#1428). Without it the format "iri" goes
unchecked; the notebook schema does not use it.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
