"""Which pipeline is best here? Judged sources, comparison with statistics and costs, tuning, advice, reports."""
