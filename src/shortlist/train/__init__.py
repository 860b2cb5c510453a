"""Train encoders and judges. Needs torch: ``pip install "shortlist[train]"``."""
