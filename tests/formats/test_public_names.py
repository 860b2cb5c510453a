import subprocess
import sys

import shortlist.formats


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(shortlist.formats.__all__) == shortlist.formats.__all__
    assert set(shortlist.formats.__all__) == {
        "Rejected",
        "Source",
        "document_from_mapping",
        "join_sources",
        "open_source",
        "read_corpus",
        "read_qrels",
        "read_queries",
        "read_run",
        "write_qrels",
        "write_run",
    }
    assert all(hasattr(shortlist.formats, name) for name in shortlist.formats.__all__)


def test_importing_formats_loads_no_heavy_library() -> None:
    script = "import sys, shortlist.formats; print({'numpy', 'pyarrow', 'pandas'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
