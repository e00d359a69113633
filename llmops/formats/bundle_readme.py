"""README.txt of a bundle: what it is and what to type, also where llmops is not installed yet."""

from llmops.domain.bundle import BLOBS, BundleLock


def bundle_readme(locks: tuple[BundleLock, ...], *, wheels: bool, images: bool, backup: bool) -> str:
    """The text. It holds no time, version or path of the machine it was made on."""
    parts = [
        "A bundle of llmops: what a machine without network needs to serve a model.",
        "",
        f"  {BLOBS}/      model files, each named by its sha256 (as they are: nothing here is packed)",
        *(f"  {one.path}      the lock of: {', '.join(one.deployments)}" for one in locks),
        "  rendered/          the files that `llmops render` writes from it, without secrets, to read",
        "  sbom.cdx.json      bill of materials (CycloneDX 1.6)",
        *(
            ["  wheels/            Python packages: pip install --no-index --find-links wheels PACKAGE"]
            if wheels
            else []
        ),
        *(["  images.txt         container images by digest, to be brought by your own means"] if images else []),
        *(["  backup/            the configuration that was active, without secrets"] if backup else []),
        "  SHA256SUMS         of every file but itself and its signature",
        "",
        "Check it by hand:",
        "",
        "  sha256sum -c SHA256SUMS",
        "  minisign -Vm SHA256SUMS -p KEY.pub                        (where SHA256SUMS.minisig is here)",
        "  ssh-keygen -Y verify -f ALLOWED_SIGNERS -I WHO -n llmops-bundle -s SHA256SUMS.sig < SHA256SUMS",
        "",
        "Install it (reads and verifies everything first, needs no network, may be run again after any interruption):",
        "",
        "  llmops bundle install . --public-key KEY.pub",
        "",
        "It ends by printing the commands to type next. Secrets are never in a bundle: keys and certificates are made on the",
        "target by `llmops render --apply`; to keep those of another host, bring its /etc/llmops/secrets by your own means.",
    ]
    return "\n".join(parts) + "\n"
