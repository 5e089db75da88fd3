"""How a guest reaches devices it does not own: the split-driver model, to the byte.

A driver is cut in two. The *frontend* lives in the guest, the *backend* in the domain that owns the device,
and they share one page of memory and one event channel. One module, one idea, from the bottom up:

* `ring`: requests one way, responses the other, on a single page; who must be notified, and when.
* `blkif`, `netif`: what a request and a response of a disk, of a network card, look like on that page.
* `grants`: how a guest lends single pages of its memory, and takes them back.
* `evtchn`: event channels, the interrupts of the split-driver model.
* `xenstore`: the small shared tree in which the two halves find each other.
* `machine`: a simulated host with domains that have all of the above.
* `xenbus`: the handshake of the two halves, and the toolstack that plugs a device in and out.
* `blkfront`, `blkback`: the two halves of a disk driver; `vbd` plugs both in, and real bytes travel between
  them.
* `trace`: what happened, step by step, for whoever draws it.
* `interleavings`: every order in which two ends can touch a ring, tried out.
* `batching`: notifications and throughput against batch size, in simulated time.
"""
