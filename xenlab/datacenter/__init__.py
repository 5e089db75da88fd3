"""A data centre: hosts and domains over a simulated day, run by policies that the reader edits.

One module, one idea:

* `cluster`: hosts, domains, the disks they share.
* `fleet`: a made-up fleet of any size, from the book's data on servers.
* `packing`: who goes where: bin packing.
* `shares`: who gets how much of a host that has too little.
* `transfer`: how long it takes to move a domain.
* `orders`: what a policy sees, and what it may order.
* `policies`: rules by which a data centre is run.
* `ledger`: who is where, and what that has cost.
* `simulation`: a day, event by event.
* `day`: what a day has come to.
"""
