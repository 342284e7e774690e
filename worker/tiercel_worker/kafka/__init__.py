"""Users' own Kafka clusters: reading from given positions, writing, texts of keys and values."""
