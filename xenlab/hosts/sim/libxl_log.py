"""The lines that libxl logs on standard error: ``libxl: error: FILE:LINE:FUNCTION: Domain N:text``.

Line numbers are those of the libraries in Debian's xen 4.17.7+13-g2445b30a44-0+deb12u1.
"""

from __future__ import annotations

from collections.abc import Callable

Log = Callable[[str], None]  # takes text for standard error, with its line end

ERROR_FAIL, ERROR_INVAL, ERROR_TIMEDOUT, ERROR_DOMAIN_NOTFOUND = -3, -6, -9, -21  # libxl_types.idl


class LibxlError(Exception):
    """A libxl call that returned an error; what it had to say is in the log."""

    def __init__(self, rc: int) -> None:
        self.rc = rc


def libxl_log(
    log: Log, where: str, text: str, domid: int | None = None, errno: str | None = None, level: str = "error"
) -> None:
    """Log one message from `where` (``file.c:line:function``), as libxl__logv does.

    >>> libxl_log(print, "libxl_domain.c:528:libxl_domain_pause", "Pausing domain", 9, "No such process")
    libxl: error: libxl_domain.c:528:libxl_domain_pause: Domain 9:Pausing domain: No such process
    <BLANKLINE>
    """
    domain = f"Domain {domid}:" if domid is not None and 0 < domid < 0x7FF0 else ""
    log(f"libxl: {level}: {where}: {domain}{text}{f': {errno}' if errno else ''}\n")


def xc_panic(log: Log, where: str, text: str) -> None:
    """Log that building a domain had to be given up, as libxenguest's xc_dom_panic does."""
    log(f"xc: error: panic: {where}: {text}\n")
