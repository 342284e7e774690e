"""The OpenAPI document of the API: from the route table, the handlers and two tables."""
