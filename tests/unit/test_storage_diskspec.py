"""Disk specifications, virtual device numbers and backends against xl's own answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenlab.storage.backend import BackendError, choose_backend
from xenlab.storage.diskspec import DiskSpec, DiskSpecError, parse_disk
from xenlab.storage.vdev import Vdev, VdevError, find_vdev, parse_vdev, vdev_number

VOLUME = {"pdev_path": "/dev/vg/guest-volume", "vdev": "hda", "format": "raw", "readwrite": 1}
CDROM = {"pdev_path": "/root/image.iso", "vdev": "hdc", "format": "raw", "removable": 1, "is_cdrom": 1}
EMPTY = {"pdev_path": "", "vdev": "hdc", "format": "empty", "removable": 1, "is_cdrom": 1}
NO_TARGET = {key: value for key, value in EMPTY.items() if key != "pdev_path"}
IQN = "iqn.2001-05.com.equallogic:0-8a0906-23fe93404-c82797962054a96d-examplehost"
ISCSI = {"pdev_path": IQN, "vdev": "xvda", "format": "raw", "script": "block-iscsi", "readwrite": 1}
DRBD = {"pdev_path": "app01", "vdev": "hda", "format": "raw", "script": "block-drbd", "readwrite": 1}
IMAGE = {"pdev_path": "/some/disk/image.raw", "vdev": "hda", "format": "raw", "readwrite": 1}
ISO = {"pdev_path": "/some/disk/image.iso", "vdev": "hda", "format": "raw", "removable": 1, "is_cdrom": 1}


def spec(text: str) -> list[str]:
    """Arguments of a command line; xl's test splits them at spaces too."""
    return text.split("  ")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # every case of Xen's tools/xl/check-xl-disk-parse that xl 4.17 passes, in its order; two spaces part arguments
        ("/dev/vg/guest-volume,,hda", VOLUME),
        ("/dev/vg/guest-volume,raw,hda,rw", VOLUME),
        ("format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume", VOLUME),
        ("format=raw  vdev=hda  access=rw  target=/dev/vg/guest-volume", VOLUME),
        ("raw:/dev/vg/guest-volume,hda,w", VOLUME),
        ("/root/image.iso,,hdc,cdrom", CDROM),
        ("/root/image.iso,,hdc,,cdrom", CDROM),
        ("/root/image.iso,raw,hdc,devtype=cdrom", CDROM),
        ("format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso", CDROM),
        ("format=raw  vdev=hdc  access=ro  devtype=cdrom  target=/root/image.iso", CDROM),
        ("raw:/root/image.iso,hdc:cdrom,ro", CDROM),
        (
            "backendtype=phy,vdev=xvdb,access=w,target=/dev/vg/guest-volume",
            VOLUME | {"vdev": "xvdb", "backend": "phy"},
        ),
        ("devtype=cdrom,,,hdc", EMPTY),
        (",,hdc:cdrom,r", EMPTY),
        (",hdc:cdrom,r", EMPTY),
        ("vdev=hdc,access=r,devtype=cdrom,target=", EMPTY),
        (",empty,hdc:cdrom,r", EMPTY),
        ("vdev=hdc,access=r,devtype=cdrom,format=empty", NO_TARGET),
        ("vdev=hdc,access=r,devtype=cdrom", NO_TARGET),
        (f"iscsi:{IQN},xvda,w", ISCSI),
        (f"vdev=xvda,access=w,script=block-iscsi,target={IQN}", ISCSI),
        ("drbd:app01,hda,w", DRBD),
        ("discard  vdev=hda  target=/some/disk/image.raw", IMAGE | {"discard_enable": "True"}),
        ("cdrom  no-discard  vdev=hda  target=/some/disk/image.iso", ISO | {"discard_enable": "False"}),
        # and a few of our own
        ("phy:/dev/vg/guest-volume,hda,w", VOLUME),
        ("tap:aio:/dev/vg/guest-volume,hda,w", VOLUME),
        (
            "vdev=xvda,target=/a,b:c=d",
            {"pdev_path": "/a,b:c=d", "vdev": "xvda", "format": "raw", "readwrite": 1},
        ),
        ("/a,,xvda,r", {"pdev_path": "/a", "vdev": "xvda", "format": "raw"}),
        (
            "/a,qcow2,xvda,w,backend=store,direct-io-safe,specification=virtio",
            {"backend_domname": "store", "pdev_path": "/a", "vdev": "xvda", "format": "qcow2"}
            | {"readwrite": 1, "direct_io_safe": True, "specification": "virtio"},
        ),
    ],
)
def test_xl_reads_it_so(arguments, expected):
    assert parse_disk(*spec(arguments)).to_json() == expected


REFUSED = [
    # printed by xl 4.17 (libxlutil of Debian 12)
    ("foo", ["no vdev specified"]),
    ("vdev=xvda", ["no target specified (and device not removable)"]),
    ("foo=bar", ["unknown parameter: near `foo=b'"]),
    ("foo=", ["no vdev specified"]),
    ("a,b,c,d,e", ["unknown value for format: near `b'"]),
    ("a,raw,xvda,w,e", ["too many positional parameters: near `e'"]),
    ("/a,raw,xvda,w,trusted", ["too many positional parameters: near `trusted'"]),
    ("trusted,vdev=hda,target=/x", ["target respecified: near `/x'"]),
    ("untrusted vdev=hda target=/x", ["bad disk syntax: near `=hda target=/x'"]),
    ("a,,xvda,q", ["unknown value for access: near `q'"]),
    ("a,,xvda,backendtype=x", ["unknown value for backendtype: near `x'"]),
    ("a,,xvda,devtype=tape,r", ["unknown value for type: near `devtype=tape,'"]),
    ("a,,xvda,colo-port=x", ["unknown value for colo_port: near `x'"]),
    ("weird:/x,xvda", ["unknown deprecated disk prefix: near `weird:'"]),
    ("a,raw,hda:floppy", ["unknown deprecated type: near `floppy'"]),
    ("a,,xvda,vdev=xvdb", ["vdev respecified: near `xvdb'"]),
    ("a,raw,xvda,format=vhd", ["format respecified: near `vhd'"]),
    ("a,,xvda,target=b", ["target respecified: near `b'"]),
    ("Foo=x,xvda", ["bad disk syntax: near `=x,xvda'"]),
    (
        "specification=q,access=z,Foo=x",
        [
            "unknown value for specification: near `q'",
            "unknown value for access: near `z'",
            "bad disk syntax: near `=x'",
        ],
    ),
]


@pytest.mark.parametrize(("text", "faults"), REFUSED, ids=[text for text, _ in REFUSED])
def test_xl_refuses_it_in_these_words(text, faults):
    with pytest.raises(DiskSpecError) as refused:
        parse_disk(text, source="web.cfg")
    assert str(refused.value).split("\n") == [
        f"web.cfg: config parsing error in disk specification: {fault} in `{text}'" for fault in faults
    ]


def test_outdated_forms_are_noted_and_make_no_difference():
    old, new = parse_disk("tap:qcow2:/a,hdc:cdrom,r"), parse_disk("/a,qcow2,hdc,cdrom")
    assert old == new
    assert new.deprecated == ()
    assert old.deprecated == (
        "'tap:' has no effect; leave it out",
        "'qcow2:' use format=qcow2",
        "'hdc:cdrom': use devtype=cdrom",
    )


@given(st.text(alphabet="abdhrvwx01:=,/ -\t\n", max_size=40))
def test_any_string_is_read_or_refused(text):
    try:
        disk = parse_disk(text)
    except DiskSpecError:
        return
    assert disk.target is not None or disk.is_cdrom


# ---- virtual devices


@given(
    st.one_of(
        st.builds(Vdev, st.just("xvd"), st.integers(0, (1 << 20) - 1), st.integers(0, 255)),
        st.builds(Vdev, st.just("hd"), st.integers(0, 3), st.integers(0, 63)),
        st.builds(Vdev, st.just("sd"), st.integers(0, 15), st.integers(0, 15)),
    )
)
def test_names_and_numbers_are_each_others_inverse(vdev):
    assert parse_vdev(vdev.name) == vdev
    assert find_vdev(vdev.number) == vdev
    assert vdev_number(vdev.name) == vdev.number


def test_the_numbers_of_the_interface_document():
    names = [
        "d0",
        "d0p0",
        "xvda",
        "d1p2",
        "xvdb2",
        "d536p37",
        "xvdtq37",
        "sdb3",
        "hdc2",
        "xvda16",
        "d010p0x1",
    ]
    numbers = [vdev_number(name) for name in names if name != "d0"]
    extended = 1 << 28 | 536 << 8 | 37
    assert numbers == [
        51712,
        51712,
        51730,
        51730,
        extended,
        extended,
        2067,
        5634,
        1 << 28 | 16,
        202 << 8 | 8 << 4 | 1,
    ]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "xvd",
        "d0",
        "xvda01",
        "xvda0",
        "xvda256",
        "hde",
        "hda64",
        "sdq",
        "sda16",
        "vda",
        "XVDA",
        "-1",
        "d0p256",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(VdevError, match=f"Invalid or unsupported virtual disk identifier {name}$"):
        vdev_number(name)
    with pytest.raises(VdevError, match=r"number\(=1\)"):
        find_vdev(1)


# ---- backends


@pytest.mark.parametrize(
    ("text", "path_kind", "guest", "backend"),
    [
        ("/dev/vg0/web,raw,xvda", "block device", "pv", "phy"),
        ("/srv/web.img,raw,xvda", "file", "pv", "phy"),  # over a loop device
        ("phy:/srv/web.img,xvda,w", "file", "pv", "phy"),
        ("/srv/web.qcow2,qcow2,xvda", "file", "pv", "qdisk"),
        ("/srv/web.vhd,vhd,xvda", "missing", "hvm", None),
        ("/srv/web.img,raw,xvda,backendtype=qdisk", "missing", "pv", "qdisk"),  # QEMU finds out later
        ("/srv,raw,xvda", "directory", "pv", "qdisk"),
        ("iqn,raw,xvda,script=block-iscsi", "missing", "pv", "phy"),
        ("/dev/vg0/web,raw,xvda,backend=store", "missing", "pv", "phy"),
        ("/srv/web.qcow2,qcow2,xvda,script=x", "file", "pv", None),
        ("/srv/web.img,raw,xvda,backendtype=tap", "file", "pv", None),
        ("/srv/web.img,raw,xvda,specification=virtio", "file", "pvh", "standalone"),
        ("/srv/debian.iso,,hdc,cdrom", "file", "hvm", "qdisk"),
        ("/srv/debian.iso,,hdc,cdrom", "file", "pv", "phy"),
        ("/srv/debian.iso,,hdc,cdrom,backendtype=phy", "file", "hvm", None),
        (",,hdc,cdrom", "missing", "hvm", "qdisk"),
        (",empty,xvda", "missing", "pv", None),
    ],
)
def test_the_backend_libxl_takes(text, path_kind, guest, backend):
    disk = parse_disk(text)
    if backend is None:
        with pytest.raises(BackendError):
            choose_backend(disk, path_kind, guest=guest)
    else:
        assert choose_backend(disk, path_kind, guest=guest).backend == backend


def test_libxl_says_why_not():
    def why(text, path_kind="file", guest="pv"):
        with pytest.raises(BackendError) as refused:
            choose_backend(parse_disk(text), path_kind, guest=guest)
        return str(refused.value)

    assert why("/a,,xvda", "missing") == "Disk vdev=xvda failed to stat: /a: No such file or directory"
    assert why(",empty,xvda") == "Disk vdev=xvda is empty but not cdrom"
    assert why("/a,empty,hdc,cdrom") == "Disk vdev=hdc is empty but an image has been provided: /a"
    assert why("/a,qed,xvda,backendtype=phy") == "no suitable backend for disk xvda"
    assert (
        why("/a,,hdc,cdrom,backendtype=phy", guest="hvm")
        == "Backend for CD devices on HVM guests must be Qdisk"
    )
    passed_over = choose_backend(DiskSpec(target="/srv", vdev="xvda"), "directory").passed_over
    assert passed_over == ("Disk vdev=xvda, backend phy unsuitable as phys path not a block device",)
