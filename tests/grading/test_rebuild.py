"""What is graded is the master with the answers' source in it, whatever else was handed in."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from small_lab import CELLS, notebook

from xenlab.grading.lab import Lab
from xenlab.grading.rebuild import rebuild, with_seeds
from xenlab.grading.seeds import EXAMPLE, exam_seed, seed_of

LAB = Lab.of("small", notebook())
ANSWERS = {
    "add": "# TASK add\nadd = max",
    "own": "# TASK own\nown = 4",
    "two_a": "first = 1",
    "two_b": "second = 3",
}


def rebuilt(submitted, student="ana", secret="s"):
    return rebuild(LAB, submitted, student, secret)


def sources(built):
    return {cell.id: cell.source for cell in built.notebook.cells}


def test_answers_are_taken_over_and_nothing_else_is():
    handed_in = notebook(**ANSWERS, add_check="evidence(5)", tools="evidence = print", text="# Mine")
    built = rebuilt(handed_in)
    found = sources(built)
    assert (found["add"], found["two-b"]) == ("# TASK add\nadd = max", "second = 3")
    assert found["tools"] == CELLS["tools"]
    assert found["text"] == CELLS["text"]
    assert found["add-check"].endswith(f"evidence(add(2, 3))\nSEED = {seed_of('ana')}")
    assert list(found) == list(CELLS)
    assert built.missing == ()
    assert built.notes == (
        "cell 3 (tools) was changed; it is graded as it was handed out",
        "cell 5 (add-check) was changed; it is graded as it was handed out",
    )


def test_each_check_begins_with_the_seed_it_is_to_see():
    found = sources(rebuilt(notebook(), "ana", "secret"))
    assert found["add-check"].splitlines()[1] == f"SEED = {seed_of(EXAMPLE)}"
    assert found["add-hidden"].splitlines()[1] == f"SEED = {exam_seed('small', 'secret')}"
    assert "STUDENT = 'ana'" in found["student"]
    assert exam_seed("small", "secret") != exam_seed("small", "") != exam_seed("other", "")


def test_after_a_check_the_seed_is_the_students_own_again():
    found = sources(rebuilt(notebook(), "ana", "secret"))
    for check in LAB.checks:
        assert found[check].splitlines()[-1] == f"SEED = {seed_of('ana')}"


def test_a_copy_counts_if_the_original_is_still_the_stub_and_the_other_way_round():
    stub, answer = "# TASK add\ndef add(a, b):\n    ...  # your answer", "# TASK add\nadd = max"
    for first, second in ((stub, answer), (answer, stub)):
        handed_in = notebook(add=first)
        handed_in.cells.append(new_code_cell(second, id="a-copy"))
        built = rebuilt(handed_in)
        assert sources(built)["add"] == answer
        assert not [note for note in built.notes if "answered" in note]


def test_of_an_answer_and_its_copy_the_last_counts():
    handed_in = notebook(add="# TASK add\nadd = min")
    handed_in.cells.append(new_code_cell("# TASK add\nadd = max", id="a-copy"))
    built = rebuilt(handed_in)
    assert sources(built)["add"] == "# TASK add\nadd = max"
    assert "task add was answered 2 times; the last answer counts" in built.notes


def test_half_a_surrogate_pair_can_be_written():
    source = sources(rebuilt(notebook(add="add = '\ud83d'")))["add"]
    assert source.encode() == b"add = '?'"


def test_tags_outputs_and_counts_are_left_behind():
    handed_in = notebook()
    for cell in handed_in.cells:
        cell.metadata["tags"] = ["nbval-skip"]
    handed_in.cells[3].outputs = [{"output_type": "stream", "name": "stdout", "text": "5"}]
    for cell in rebuilt(handed_in).notebook.cells:
        assert cell.metadata == {}
        assert cell.get("outputs", []) == []


def test_of_two_answers_the_last_counts():
    handed_in = notebook(add="add = min")
    handed_in.cells.append(new_code_cell("add = max", id="add"))
    built = rebuilt(handed_in)
    assert sources(built)["add"] == "add = max"
    assert "task add was answered 2 times; the last answer counts" in built.notes


def test_a_copied_answer_is_found_by_its_first_line():
    handed_in = notebook(add=None)
    handed_in.cells.append(new_code_cell("# TASK add\nadd = max"))
    assert sources(rebuilt(handed_in))["add"] == "# TASK add\nadd = max"


def test_the_parts_of_a_task_are_found_in_their_order_from_the_end():
    handed_in = notebook(two_a=None, two_b=None)
    handed_in.cells.append(new_code_cell("# TASK two\nfirst, second = 1, 2"))
    built = rebuilt(handed_in)
    assert sources(built)["two-a"] == "# TASK two\nfirst, second = 1, 2"
    assert built.missing == ()
    assert any("two-b" in note and "missing" in note for note in built.notes)


def test_an_answer_that_was_retyped_counts():
    for retyped in (new_markdown_cell, new_raw_cell):
        handed_in = notebook(add=None)
        handed_in.cells.append(retyped("# TASK add\nadd = max", id="add"))
        built = rebuilt(handed_in)
        assert sources(built)["add"] == "# TASK add\nadd = max"
        assert any("it was run as code" in note for note in built.notes)


def test_a_task_without_an_answer_is_missing():
    built = rebuilt(notebook(add=None))
    assert built.missing == ("add",)
    assert any("the answer cell of task add" in note for note in built.notes)


def test_cells_of_ones_own_are_not_run():
    handed_in = notebook()
    handed_in.cells.append(new_code_cell("helper = 1"))
    built = rebuilt(handed_in)
    assert "helper" not in str(sources(built))
    assert any("was not run" in note for note in built.notes)


def test_another_students_number_is_noticed():
    theirs = '# STUDENT\nSTUDENT = "bob"  # your student number\n'
    assert rebuilt(notebook(student=theirs)).notes == (
        "the notebook gives the student number 'bob'; it was handed in as 'ana'",
    )
    assert rebuilt(notebook(student=theirs), "bob").notes == ()


def test_an_endless_answer_is_not_run():
    built = rebuilt(notebook(add="#" * 200_000))
    assert sources(built)["add"].startswith("raise ValueError")


def test_without_a_submission_the_references_notebook_has_the_solutions():
    assert "return a + b" in {cell.id: cell.source for cell in with_seeds(LAB, "ana").cells}["add"]
