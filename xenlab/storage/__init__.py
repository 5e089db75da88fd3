"""Storage for guest domains: volumes, copy-on-write images, snapshots, and how a domain's disks are named.

One module, one idea:

* `blockdev`: what every disk here is, a size and two verbs; disks in memory and in files.
* `qcow2`: copy-on-write image files, byte for byte those of QEMU; backing chains, commit, space saved.
* `dm_snapshot`: device-mapper's snapshots and their persistent exception store ("SnAp").
* `lvm`: physical volumes, volume groups and logical volumes, and LVM2's commands over them.
* `diskspec`, `vdev`, `backend`: the strings of ``disk = [...]``, virtual device numbers, which backend serves
  a disk.
* `nfsroot`: a guest whose root file system comes over the network.
* `fill`: how full a snapshot gets.
* `driver`, `images`, `nfs`: the same for real, by the commands of a host's dom0.
* `view`, `fill_view`: pictures of chains, first writes and how full a snapshot is.
"""
