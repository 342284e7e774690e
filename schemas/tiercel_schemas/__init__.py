"""What travels in topics: records, their codec, ids, states, and the street map of topics."""
