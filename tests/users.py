"""Running as somebody else than root from a suite that runs as root, on any checkout."""

AS_USER = (
    "setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search",
)  # fmt: skip
"""User 1000, who may read all files (a checkout below /root, a folder of pytest's) and write only what is theirs.

A user namespace would do, too, but none can be made in a chroot or in most containers.
"""
