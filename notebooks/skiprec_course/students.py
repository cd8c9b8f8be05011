"""Numbers of their own for each student."""

import hashlib


def seed_of(name: str) -> int:
    """A seed made from a user name, so that each student gets other numbers; upper case and outer blanks do not count.

    Raises:
        ValueError: if the name is empty.
    """
    plain = name.strip().lower()
    if not plain:
        raise ValueError('write your user name first, such as USER = "ada"')
    return int.from_bytes(hashlib.sha256(plain.encode()).digest()[:4], "big")
