"""What a class hands in is taken in safely: each student gets a notebook or a problem, and nothing stops the class."""

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.grading import intake
from xenlab.grading.intake import MIB, submissions
from xenlab.grading.names import owner, safe, shown


def notebook(answer: str = "x = 1") -> bytes:
    cell = {
        "cell_type": "code",
        "id": "a",
        "source": answer,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def zipped(path: Path, files: dict[str, bytes], day: int = 1) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for at, (name, data) in enumerate(files.items()):
            info = zipfile.ZipInfo(name, (2026, 11, day + at % 20, 12, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def zip_of(files: dict[str, bytes], folder: Path) -> bytes:
    return zipped(folder / "inner.zip", files).read_bytes()


def one(path: Path) -> intake.Submission:
    (found,) = submissions([path])
    return found


def test_moodle_zip_with_folders(tmp_path: Path) -> None:
    names = {
        "Ana Souza_1234567_assignsubmission_file_/lab.ipynb": notebook("ana"),
        "Ana Souza_1234568_assignsubmission_file_/sub/lab.ipynb": notebook("her namesake"),
        "João D'Ávila_77_assignsubmission_file_/my lab (1).ipynb": notebook("joão"),
        "Bia_78_assignsubmission_onlinetext_/onlinetext.html": b"<p>sorry</p>",
    }
    found = submissions([zipped(tmp_path / "Virt-Lab 02-991.zip", names)])
    assert [(each.student, each.name, each.number, each.system) for each in found] == [
        ("Ana-Souza_1234567", "Ana Souza", "1234567", "moodle"),
        ("Ana-Souza_1234568", "Ana Souza", "1234568", "moodle"),
        ("Bia_78", "Bia", "78", "moodle"),
        (safe("João D'Ávila_77"), "João D'Ávila", "77", "moodle"),
    ]
    assert [each.data is None for each in found] == [False, False, True, False]
    assert "no notebook" in (found[2].problem or "")


def test_moodle_zip_without_folders_and_the_zip_unpacked(tmp_path: Path) -> None:
    name = "Ana_12_assignsubmission_file_lab.ipynb"
    assert one(zipped(tmp_path / "flat.zip", {name: notebook()})).student == "Ana_12"
    unpacked = tmp_path / "class" / "download" / "Ana_12_assignsubmission_file_"
    unpacked.mkdir(parents=True)
    (unpacked / "lab.ipynb").write_bytes(notebook())
    assert one(tmp_path / "class").student == "Ana_12"


def test_canvas_zip_marks_lateness_and_the_latest_upload_counts(tmp_path: Path) -> None:
    names = {
        "souzaana_4711_99012_lab-1.ipynb": notebook("second"),
        "souzaana_4711_9903_lab.ipynb": notebook("first"),
        "limabia_LATE_4712_99100_lab.ipynb": notebook("bia"),
        "anon_x7Kq2_99101_lab.ipynb": notebook("nobody"),
    }
    found = {each.student: each for each in submissions([zipped(tmp_path / "submissions.zip", names)])}
    assert set(found) == {"souzaana_4711", "limabia_4712", "anon_x7Kq2"}
    assert found["souzaana_4711"].data == notebook("second")
    assert found["souzaana_4711"].notes == (
        "2 notebooks were handed in; this is the latest, souzaana_4711_99012_lab-1.ipynb",
    )
    assert found["limabia_4712"].notes == ("handed in late",)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (["Ana_1_assignsubmission_file_Bia_2_assignsubmission_file_lab.ipynb"], "Ana"),
        (["Ana_1_assignsubmission_file_", "Bia_2_assignsubmission_file_", "lab.ipynb"], "Ana"),
        (["ana_1_2_bia_3_4_lab.ipynb"], "ana"),
    ],
)
def test_no_file_name_makes_it_another_students(parts: list[str], name: str) -> None:
    assert owner(parts).name == name


def test_a_folder_of_files_and_one_of_folders(tmp_path: Path) -> None:
    (tmp_path / "ana.ipynb").write_bytes(notebook())
    for path in ("bia/lab.ipynb", "bia/.ipynb_checkpoints/lab-checkpoint.ipynb", "caio/deep/er/lab.ipynb"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(notebook(path))
    found = submissions([tmp_path])
    assert [(each.student, each.problem, each.notes) for each in found] == [
        ("ana", None, ()),
        ("bia", None, ()),
        ("caio", None, ()),
    ]


def test_a_zipped_folder_and_single_files(tmp_path: Path) -> None:
    whole = zipped(
        tmp_path / "class.zip", {"class/ana.ipynb": notebook(), "class/__MACOSX/._bia.ipynb": b"litter"}
    )
    (tmp_path / "caio.ipynb").write_bytes(notebook())
    assert [each.student for each in submissions([whole, tmp_path / "caio.ipynb"])] == ["ana", "caio"]


def test_the_latest_of_two_counts_even_if_it_is_broken(tmp_path: Path) -> None:
    files = {"ana/old.ipynb": notebook("old"), "ana/new.ipynb": b"{oops"}
    found = one(zipped(tmp_path / "x.zip", files))
    assert found.data is None
    assert (found.problem or "").startswith("ana/new.ipynb is not a notebook")


def test_a_notebook_is_known_by_what_it_holds(tmp_path: Path) -> None:
    for name in ("lab.ipynb.txt", "lab.json", "lab"):
        found = one(zipped(tmp_path / "x.zip", {f"ana/{name}": notebook()}))
        assert found.data == notebook()
        assert found.notes == (f"the notebook was found in ana/{name}",)


def test_a_student_may_hand_in_a_zip_but_not_a_nest_of_them(tmp_path: Path) -> None:
    inner = zip_of({"lab.ipynb": notebook("in a zip")}, tmp_path)
    nest = zip_of({"inner.zip": inner}, tmp_path)
    found = submissions([zipped(tmp_path / "x.zip", {"ana/lab.zip": inner, "bia/lab.zip": nest})])
    assert [each.data for each in found] == [notebook("in a zip"), None]
    assert "is a zip without a notebook" in (found[1].problem or "")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\x00\xff\xfe", "is not a notebook"),
        (b"[" * 100_000, "is not a notebook"),
        (b"9" * 100_000, "is not a notebook"),
        (b"[]", "it has no cells"),
        (b'{"cells": 3}', "it has no cells"),
        (b"PK\x03\x04 but no zip", "is not a zip file"),
        (b"\x89PNG\r\n", "is not a notebook"),
        (b"{" + b" " * (10 * MIB), "is larger than 10 MiB"),
    ],
)
def test_what_is_no_notebook_is_a_problem_of_one_student(tmp_path: Path, data: bytes, problem: str) -> None:
    files = {"ana/lab.ipynb": data, "bia/lab.ipynb": notebook()}
    ana, bia = submissions([zipped(tmp_path / "x.zip", files)])
    assert problem in (ana.problem or "")
    assert bia.data == notebook()


@pytest.mark.parametrize(
    "name",
    [
        "../ana.ipynb",
        "ana/../../etc/ana.ipynb",
        "/etc/ana.ipynb",
        "C:/ana.ipynb",
        "\\\\server\\ana.ipynb",
        "..",
    ],
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    before = set(tmp_path.rglob("*"))
    path = zipped(tmp_path / "x.zip", {name: notebook(), "bia.ipynb": notebook()})
    found = {each.student: each for each in submissions([path])}
    problems = [each.problem for each in found.values() if each.problem]
    assert len(problems) == 1
    assert "leads out of its folder" in problems[0]
    assert found["bia"].data == notebook()
    assert set(tmp_path.rglob("*")) == before | {path}


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "master.ipynb"
    secret.write_bytes(notebook("the solution"))
    folder = tmp_path / "class"
    for student in ("ana", "caio"):
        (folder / student).mkdir(parents=True)
    (folder / "ana" / "lab.ipynb").symlink_to(secret)
    (folder / "bia").symlink_to(tmp_path)
    os.mkfifo(folder / "caio" / "lab.ipynb")
    found = submissions([folder])
    assert [each.student for each in found] == ["ana", "bia", "caio"]
    assert [each.data for each in found] == [None] * 3
    assert ["symbolic link" in (each.problem or "") for each in found] == [True, True, False]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        link = zipfile.ZipInfo("ana/lab.ipynb")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "is a symbolic link" in (one(tmp_path / "x.zip").problem or "")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of({"ana/lab.ipynb": notebook()}, tmp_path))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(header) + flags] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    assert "is encrypted" in (one(tmp_path / "x.zip").problem or "")


def test_empty_and_broken_sources(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    zipped(tmp_path / "empty.zip", {})
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04oops")
    found = submissions([tmp_path / "folder", tmp_path / "empty.zip", tmp_path / "broken.zip"])
    assert [each.data for each in found] == [None] * 3
    assert all(each.problem for each in found)
    with pytest.raises(FileNotFoundError):
        submissions([tmp_path / "nowhere"])


def test_a_zip_that_lies_of_its_size_and_100_mb(tmp_path: Path) -> None:
    bomb = zip_of({"lab.ipynb": b" " * (100 * MIB)}, tmp_path)
    assert len(bomb) < MIB
    files = {"ana/lab.ipynb": b" " * (100 * MIB), "bia/lab.zip": bomb, "caio/lab.ipynb": notebook()}
    found = submissions([zipped(tmp_path / "x.zip", files)])
    assert ["larger than 10 MiB" in (each.problem or "") for each in found] == [True, True, False]


def test_thousands_of_entries(tmp_path: Path) -> None:
    files = {f"student{at}/lab{part}.ipynb": notebook(str(at)) for at in range(1500) for part in range(2)}
    found = submissions([zipped(tmp_path / "x.zip", files)])
    assert len({each.student for each in found}) == 1500
    assert all(each.data for each in found)


def test_hostile_names_are_shown_in_one_line_and_safe_on_disk(tmp_path: Path) -> None:
    names = [
        "=cmd|' /C calc'!A0",
        "a\nb\r\x1b[31m",
        "x" * 200,
        "\u202eanb",
        "CON",
        "  ",
        "-rf",
        "<script>",
        "ANA",
        "ana",
    ]
    path = zipped(
        tmp_path / "x.zip", {f"{name}/lab.ipynb": notebook(str(at)) for at, name in enumerate(names)}
    )
    found = submissions([path])
    assert len({each.student.casefold() for each in found}) == len(names)
    for each in found:
        assert each.data is not None
        (tmp_path / f"{each.student}.html").write_text("")
        assert not {"\n", "\r", "\x1b", "\u202e"} & set(
            each.student + each.name + each.file + "".join(each.notes)
        )
    assert len(list(tmp_path.glob("*.html"))) == len(names)


def test_names_that_are_no_text_at_all(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(folder)
    with open(folder + b"/lab.ipynb", "wb") as file:
        file.write(notebook())
    found = one(tmp_path)
    assert found.data == notebook()
    (found.student + found.name + found.file).encode()


@given(st.text(max_size=300))
def test_any_text_makes_a_safe_name(text: str) -> None:
    name = safe(text)
    assert name
    assert len(f"{name}.html".encode()) < 255
    assert not set(name) & set("/\\\0:\"'<>|?*\n =,;")
    assert name[0] not in "-.@+="
    assert safe(name) == name
    assert "\n" not in shown(text)
    shown(text).encode()


def test_the_number_in_a_notebook_is_read(tmp_path: Path) -> None:
    lines = ["# STUDENT\n", "STUDENT = 'up202601234'  # your student number\n"]
    both = [lines, "".join(lines), {"a": 1}, None, 7]
    cells = [[{"cell_type": "code", "source": source}] for source in both]
    files = {f"s{at}.ipynb": json.dumps({"cells": [*each, "x"]}).encode() for at, each in enumerate(cells)}
    found = submissions([zipped(tmp_path / "x.zip", files)])
    assert [each.says for each in found] == ["up202601234", "up202601234", "", "", ""]


def test_a_class_whose_notebooks_do_not_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "LARGEST_CLASS", 3 * len(notebook()))
    files = {f"{name}/lab.ipynb": notebook() for name in "abcde"}
    found = submissions([zipped(tmp_path / "x.zip", files)])
    assert [each.data is None for each in found] == [False, False, False, True, True]
    assert "grade it in parts" in (found[4].problem or "")
