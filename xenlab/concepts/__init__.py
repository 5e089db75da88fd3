"""What a processor must be like so that it can be virtualized, and the forms that virtualization takes.

`machine` is Popek and Goldberg's formal computer, `instructions` what it can do, `classify` sorts instructions and
decides their theorem, `monitor` runs a guest by trapping and shows where that fails. `forms` holds the slides' layered
pictures.
"""
