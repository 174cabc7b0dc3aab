"""From records to findings: effects with intervals, sets of best, edges, hypotheses. No torch."""
