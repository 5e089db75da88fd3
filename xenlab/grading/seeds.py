"""Seeds: a number for each student, and one for the exam.

Answer cells see the student's own seed, `seed_of` their number. A public check sees the seed of `EXAMPLE`, so that its
reference is one for all and stands in the student's notebook. A hidden check sees the exam's seed, which is made from
the instructor's secret: nobody can work its values out at home. All three are called ``SEED``.
"""

from __future__ import annotations

import hashlib

EXAMPLE = (
    "up000000"  # nobody's number: what the STUDENT cell of a lab holds before a student puts theirs there
)
_SEEDS = 1_000_000


def seed_of(student: str, secret: str = "") -> int:
    """Return a student's seed, a number below a million; the same student always has the same.

    >>> seed_of("up202601234") == seed_of(" UP202601234 ") != seed_of("up202601235")
    True
    """
    text = f"{secret}\n{student.strip().lower()}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % _SEEDS


def exam_seed(lab: str, secret: str) -> int:
    """Return the seed that a lab's hidden checks see; without a secret everybody can work it out.

    >>> exam_seed("16_scheduling", "a line of noise") != exam_seed("16_scheduling", "another")
    True
    """
    return seed_of(f"exam {lab}", secret)
