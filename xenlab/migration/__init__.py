"""Moving a guest from one host to another: cold, warm and live.

One module, one idea:

* `pages`: guest memory as numbered pages, and bitmaps with one flag a page.
* `workloads`: which pages a guest writes as time passes, its writable working set.
* `policies`: when to stop copying and how fast to send: Xen 4.17, Xen up to 4.5, NSDI 2005, QEMU,
  stop-and-copy.
* `rounds`: what goes into a simulated migration and what comes out, round by round.
* `precopy`: iterative pre-copy, page by page and round by round.
* `postcopy`: start the guest at the target first, fetch its pages afterwards.
* `rivals`: one guest, moved by every method.
* `nsdi05`: the four experiments of the paper that introduced live migration: parameters and published
  figures.
* `stages`: the protocol between the two ends, and who holds the guest when something breaks.
* `timeline`: cold, warm and live side by side: what happens when, and whether the service answers.
* `stream`: what is inside a file written by `xl save`; `streamwriter` writes one; `streamformat` has the
  numbers.
* `heard`: the rounds of a real migration, as they went over the cable.
* `driver`: moves real guests and measures for how long they did not answer.
"""
