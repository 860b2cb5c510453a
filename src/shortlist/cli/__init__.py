"""The command ``shortlist``: data on stdout, everything else on stderr."""
