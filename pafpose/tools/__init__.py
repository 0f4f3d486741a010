"""What helps beside training: auditing data, oracle, reports, converting public weights."""
