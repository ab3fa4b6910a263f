"""From counts to one list of candidates: mask, centres, probability, position error."""
