"""Every hostile folder, under a name of its own."""

from tests.models.hostile import contents, files

CASES = [*files.CASES, *contents.CASES]
