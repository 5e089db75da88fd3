"""The model looks names up where the real linker does: libraries are built, and ld.so tells what it bound."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.commands import XenlabError
from xenlab.library.linker import Object, answers, looks, scope
from xenlab.library.workshop import Workshop

NAMES = ("a", "b", "c", "d")


def test_the_program_comes_first_then_what_is_preloaded_then_what_is_needed_level_by_level():
    objects = [
        Object("prog", needs=("a", "b")),
        Object("a", needs=("c",)),
        Object("b", needs=("d",)),
        Object("c"),
        Object("d"),
        Object("shim", needs=("d",)),
    ]
    assert scope("prog", objects) == ("prog", "a", "b", "c", "d")
    assert scope("prog", objects, ["shim"]) == ("prog", "shim", "a", "b", "d", "c")


def test_a_missing_library_is_named():
    with pytest.raises(XenlabError, match=r"library\(='a'\) must be one of those there are: prog"):
        scope("prog", [Object("prog", needs=("a",))])


def test_a_name_that_nobody_has_is_sought_everywhere():
    objects = [Object("prog", needs=("a",)), Object("a")]
    assert [look.where for look in looks("f", "prog", objects)] == ["prog", "a"]
    assert answers("f", "prog", objects) is None


@given(
    has=st.lists(st.booleans(), min_size=4, max_size=4),
    needs=st.lists(st.sets(st.integers(0, 3)), min_size=4, max_size=4),
    preload=st.permutations(NAMES).flatmap(lambda order: st.integers(0, 4).map(lambda n: order[:n])),
)
def test_each_object_stands_in_the_scope_once_and_the_first_with_the_name_answers(has, needs, preload):
    objects = [
        Object(name, frozenset({"f"} if own else ()), tuple(NAMES[i] for i in sorted(wants)))
        for name, own, wants in zip(NAMES, has, needs, strict=True)
    ]
    order = scope("prog", [Object("prog", needs=("a",)), *objects], preload)
    assert len(set(order)) == len(order)
    assert order[1 : 1 + len(preload)] == tuple(preload)
    having = [each for each in order if each != "prog" and has[NAMES.index(each)]]
    assert answers("f", "prog", [Object("prog", needs=("a",)), *objects], preload) == next(iter(having), None)


FUNCTION = "long f(void) {{ return {}; }}\n"


@pytest.fixture(scope="module")
def built():
    """Four real libraries: a needs c, b needs d; b, c and d have f. A program needs a and b, and calls f."""
    with Workshop() as shop:
        c = shop.build("c", FUNCTION.format(3))
        d = shop.build("d", FUNCTION.format(4))
        a = shop.build("a", "long g(void) { return 1; }\n", [c])
        b = shop.build("b", FUNCTION.format(2), [d])
        text = '#include <stdio.h>\nlong f(void);\nint main(void) { printf("%ld", f()); return 0; }\n'
        program = shop.program("prog", text, [a, b])
        objects = [
            Object("prog", needs=("liba.so", "libb.so")),
            Object("liba.so", frozenset({"g"}), ("libc.so",)),
            Object("libb.so", frozenset({"f"}), ("libd.so",)),
            Object("libc.so", frozenset({"f"})),
            Object("libd.so", frozenset({"f"})),
        ]
        yield shop, str(program), objects, {"liba.so": a, "libb.so": b, "libc.so": c, "libd.so": d}


@pytest.mark.parametrize(
    "preload", [(), *itertools.permutations(("libb.so", "libc.so", "libd.so"), 2), ("liba.so",), ("libd.so",)]
)
def test_the_real_linker_binds_as_the_model_says(built, preload):
    shop, program, objects, files = built
    bound = shop.bindings([program], [files[name] for name in preload])
    expected = answers("f", "prog", objects, preload)
    assert bound["f"] == expected
    value = {"libb.so": "2", "libc.so": "3", "libd.so": "4"}[expected]
    assert shop.run([program], [files[name] for name in preload]).stdout == value
