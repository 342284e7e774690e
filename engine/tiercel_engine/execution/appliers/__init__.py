"""What each event does to the state. One module per kind of event; no decision, no clock."""
