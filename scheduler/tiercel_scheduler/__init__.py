"""Where triggers stand: what is due, what starts, what people ask of them."""
