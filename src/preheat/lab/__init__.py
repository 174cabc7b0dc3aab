"""From a study to records: plan, measure, train, store."""
